#!/bin/sh
# Prints the secrets of Hourbook, with new random passwords, as one file for Kubernetes. Needs openssl. Run it once:
# (umask 077 && sh deploy/kubernetes/secrets.sh > secrets.yaml) && kubectl apply -f secrets.yaml
# The file is the only copy outside of the cluster: it has the key that signs the history. Keep it, or encrypt it.
set -eu
# Letters and digits, and a letter first: they stand in addresses, and NATS reads some texts that begin with a digit as
# numbers.
password() { echo "p$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"; }

secret() { # NAME [TYPE], and then its values
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: hourbook}\ntype: %s\nstringData:\n' \
    "$1" "${2:-Opaque}"
}

# PostgreSQL: the role that migrates, and that of each service. NATS: the users.
secret hourbook-migrate kubernetes.io/basic-auth
echo "  username: hourbook"
echo "  password: $(password)"
nats=""
for service in command query projector notify sealer; do
  secret "hourbook-$service"
  echo "  pgpass: \"*:*:*:hourbook_${service}_login:$(password)\""
  if [ "$service" != query ]; then
    made=$(password)
    echo "  nats-password: $made"
    nats="$nats  HOURBOOK_NATS_$(echo "$service" | tr a-z A-Z)_PASSWORD: $made
"
  fi
done
secret hourbook-nats
printf '%s' "$nats"
for user in ADMIN STATUS ROUTE; do
  echo "  HOURBOOK_NATS_${user}_PASSWORD: $(password)"
done
secret hourbook-nats-subscribers
echo '  nats-subscribers.conf: "# The accounts of subscribers: hourbook subscriber create prints what to put here."'

secret hourbook-audit-key
echo "  audit.key: |"
openssl genpkey -algorithm ed25519 | sed 's/^/    /'

# Who signs in: at first nobody but the tokens that Hourbook makes. docs/security.md says what else it may have.
secret hourbook-auth
echo '  auth.toml: everyone = "none"'
