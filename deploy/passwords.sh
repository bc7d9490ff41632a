#!/bin/sh
# Prints random passwords as variables, for PostgreSQL's superuser and for each user of NATS:
# (umask 077 && sh deploy/passwords.sh > deploy/.env)
# Each begins with a letter, because NATS reads some texts that begin with a digit as numbers.
for user in POSTGRES NATS_ADMIN NATS_COMMAND NATS_PROJECTOR NATS_NOTIFY NATS_SEALER NATS_STATUS; do
  echo "HOURBOOK_${user}_PASSWORD=p$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
done
