#!/bin/sh
# Starts a server with the people of OCMESH_SEED, in a network of containers that is OCMESH_NETWORK.
set -eu
mkdir -p /var/lib/ocm
cat >/var/lib/ocm/ocm.toml <<END
[server]
data_dir = "/var/lib/ocm/data"

[[federation.private_network]]
cidr = "${OCMESH_NETWORK:-172.16.0.0/12}"
ports = [443]
END
for person in ${OCMESH_SEED:-}; do
    name=${person%%:*}
    (umask 077 && printf '%s' "${person#*:}" >"/tmp/$name")
    # There already where a container is started again.
    ocmesh --config /var/lib/ocm/ocm.toml user add "$name" --password-file "/tmp/$name" || true
    rm "/tmp/$name"
done
exec ocmesh --config /var/lib/ocm/ocm.toml serve
