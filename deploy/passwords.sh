#!/bin/sh
# Prints a random password for each user of NATS, as variables: (umask 077 && sh deploy/passwords.sh > deploy/.env)
# Each begins with a letter, because NATS reads some texts that begin with a digit as numbers.
for user in ADMIN COMMAND PROJECTOR NOTIFY SEALER STATUS; do
  echo "HOURBOOK_NATS_${user}_PASSWORD=p$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
done
