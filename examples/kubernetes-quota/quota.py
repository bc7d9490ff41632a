"""Writes the ResourceQuota of each namespace from what its account holds in Hourbook now.

python examples/kubernetes-quota/quota.py --pool gaia team-a=ada team-b=grace | kubectl apply -f -
python examples/kubernetes-quota/quota.py --pool gaia team-a=ada --follow --to-kubectl
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

TOKEN = os.environ.get("HOURBOOK_TOKEN")
HEADERS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
DISCS = ("tempdisc", "userdisc", "datadisc")


def quota(namespace: str, pool: str, entitlements: Any) -> dict[str, Any]:
    """The manifest of a namespace. An account that holds nothing of the pool gets a quota of nothing. The same
    entitlements make the same manifest, whenever it is made."""
    held: dict[str, Any] = next((one for one in entitlements["entitlements"] if one["pool"] == pool), {})
    cores, memory = held.get("cores", 0), f"{held.get('memory', 0)}Mi"
    storage = f"{sum(held.get(disc, 0) for disc in DISCS)}Gi"
    hard = {"requests.cpu": str(cores), "limits.cpu": str(cores), "requests.memory": memory, "limits.memory": memory}
    until = held.get("until") or entitlements["until"] or "never"
    annotations = {"hourbook/account": entitlements["account"], "hourbook/pool": pool, "hourbook/until": until}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "hourbook", "namespace": namespace, "annotations": annotations},
        "spec": {"hard": {**hard, "requests.storage": storage}},
    }


def manifests(hourbook: httpx.Client, pool: str, accounts: dict[str, str]) -> tuple[str, datetime | None]:
    """The manifests of all namespaces, as text for kubectl, and when one of them changes next, as far as it is known.
    Raises httpx.HTTPError, also if there is no such pool or nobody may see it: then every quota stays as it is."""
    of_pool = {"clusterid" if "." in pool else "project": pool}
    hourbook.get("/available/now", params=of_pool).raise_for_status()
    quotas, changes = [], list[datetime]()
    for namespace, account in sorted(accounts.items()):
        said = hourbook.get("/entitlements", params={"account": account}).raise_for_status().json()
        quotas.append(quota(namespace, pool, said))
        if said["until"]:
            changes.append(datetime.fromisoformat(said["until"]))
    return "---\n".join(json.dumps(one, indent=2, ensure_ascii=False) + "\n" for one in quotas), min(
        changes, default=None
    )


def apply(text: str) -> None:
    subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True, check=True)


def follow(look: Callable[[], tuple[str, datetime | None]], give: Callable[[str], None], every_s: float) -> None:
    """Looks every `every_s`, because a decision may come at any time, and at the moment that is known. Gives the
    manifests whenever they are others than before, for ever."""
    given, wait_s = "", every_s
    while True:
        try:
            text, change = look()
            if text != given:
                give(text)
                given = text
            wait_s = every_s if change is None else min(every_s, (change - datetime.now(UTC)).total_seconds())
        except (httpx.HTTPError, subprocess.CalledProcessError) as error:
            print(f"again in {every_s:g} s: {error}", file=sys.stderr, flush=True)
            wait_s = every_s
        time.sleep(max(0.1, wait_s))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namespaces", nargs="+", metavar="NAMESPACE=ACCOUNT")
    parser.add_argument("--pool", required=True, help="the project or cluster (gaia.k8s) whose bookings count")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--follow", action="store_true", help="go on, and write again when something changes")
    parser.add_argument("--every", type=float, default=60, help="with --follow: seconds between two looks")
    parser.add_argument("--to-kubectl", action="store_true", help="apply it; otherwise it is printed")
    options = parser.parse_args(arguments)
    if wrong := [one for one in options.namespaces if "=" not in one]:
        parser.error(f"{wrong[0]!r} is not NAMESPACE=ACCOUNT, such as team-a=ada")
    accounts = dict(one.split("=", 1) for one in options.namespaces)
    give = apply if options.to_kubectl else lambda text: print(text, end="", flush=True)
    with httpx.Client(base_url=options.url, headers=HEADERS, timeout=30) as hourbook:
        if options.follow:
            follow(lambda: manifests(hourbook, options.pool, accounts), give, options.every)
        give(manifests(hourbook, options.pool, accounts)[0])


if __name__ == "__main__":
    main()
