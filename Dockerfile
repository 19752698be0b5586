# Two images: Airflow with the project, and the same with the engines of the local sandbox. The project's own files
# come last in both, so that a change of them costs no new installation.
FROM apache/airflow:3.3.2-python3.11 AS packages
USER airflow
WORKDIR /opt/airflow
COPY --chown=airflow:root requirements.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements.txt -c constraints.txt
# Named volumes take their owner and mode from these folders.
RUN mkdir -p keys logs state
# Airflow's own waiting for the database is turned off: the compose file starts by health.
ENV PYTHONPATH=/opt/airflow/plugins:/opt/airflow CONNECTION_CHECK_MAX_COUNT=0

FROM packages AS airflow
COPY --chown=airflow:root dags dags
COPY --chown=airflow:root plugins plugins
COPY --chown=airflow:root include include
COPY --chown=airflow:root sandbox sandbox

FROM packages AS sandbox
COPY --chown=airflow:root requirements-sandbox.txt ./
RUN pip install --no-cache-dir -r requirements-sandbox.txt -c constraints.txt
COPY --chown=airflow:root plugins plugins
COPY --chown=airflow:root include include
COPY --chown=airflow:root sandbox sandbox
