"""Databases, queues, vector and object stores."""

from __future__ import annotations

from panels import GOOD_IS_ONE, GOOD_IS_ZERO, UP_DOWN, WATCH_ABOVE_ZERO, Dashboard, above, below, graph, stat

from topics._component import RATE, page, quantiles

FOLDER = "Data"


def pages() -> list[Dashboard]:
    return [postgresql(), pgbouncer(), redis(), mariadb(), clickhouse(), rabbitmq(), qdrant(), minio(), seaweedfs()]


def postgresql() -> Dashboard:
    return page(
        "omni-postgresql", "PostgreSQL", FOLDER, "postgres-exporter", "postgresql|postgres-exporter|coolify-db", "Connections, transactions, cache, locks and size of the database server that most systems share.",
        tags=("database",), links=("omni-pgbouncer", "omni-backups"),
        rows=[
            ("Server", (
                stat("Answers", "none", "Whether the exporter can log in and ask.", ("min(pg_up{@})", "up"), steps=GOOD_IS_ONE, mappings=UP_DOWN),
                stat("Connections", "percentunit", "Of max_connections. Full: new clients are refused.", ("sum by (instance) (pg_stat_activity_count{@}) / on (instance) max by (instance) (pg_settings_max_connections{@})", "{{instance}}"), steps=above(0.7, 0.9)),
                stat("Cache hits", "percentunit", "Share of blocks that were in shared buffers.", ("sum(rate(pg_stat_database_blks_hit{@}[5m])) / (sum(rate(pg_stat_database_blks_hit{@}[5m])) + sum(rate(pg_stat_database_blks_read{@}[5m])))", "hits"), steps=below(0.9, 0.98)),
                stat("Deadlocks in an hour", "short", "Two transactions waited for each other and one was ended.", ("sum(increase(pg_stat_database_deadlocks{@}[1h]))", "deadlocks"), steps=WATCH_ABOVE_ZERO),
            )),
            ("Load", (
                graph("Transactions", "ops", "Commits and rollbacks. Many rollbacks: an application fails.", (f"sum(rate(pg_stat_database_xact_commit{{@}}[{RATE}]))", "commit"), (f"sum(rate(pg_stat_database_xact_rollback{{@}}[{RATE}]))", "rollback")),
                graph("Sessions by state", "short", "'idle in transaction' holds locks and keeps vacuum from cleaning up.", ("sum by (state) (pg_stat_activity_count{@})", "{{state}}"), stacked=True),
                graph("Rows", "ops", "Read and changed.", (f"sum(rate(pg_stat_database_tup_fetched{{@}}[{RATE}]))", "fetched"), (f"sum(rate(pg_stat_database_tup_inserted{{@}}[{RATE}]))", "inserted"), (f"sum(rate(pg_stat_database_tup_updated{{@}}[{RATE}]))", "updated"), (f"sum(rate(pg_stat_database_tup_deleted{{@}}[{RATE}]))", "deleted")),
                graph("Locks", "short", "Locks that are held, by mode.", ("sum by (mode) (pg_locks_count{@})", "{{mode}}"), stacked=True),
            )),
            ("Databases", (
                graph("Size", "bytes", "Of each database.", ("pg_database_size_bytes{@}", "{{datname}}")),
                graph("Sessions by database", "short", "Who uses the connections.", ("sum by (datname) (pg_stat_activity_count{@})", "{{datname}}"), stacked=True),
                graph("Temporary files", "Bps", "Sorts and joins that did not fit work_mem.", (f"sum by (datname) (rate(pg_stat_database_temp_bytes{{@}}[{RATE}]))", "{{datname}}")),
                graph("Longest transaction", "s", "Older than minutes: find out what it waits for.", ("max by (datname) (pg_stat_activity_max_tx_duration{@})", "{{datname}}"), steps=above(300, 3600)),
            )),
        ],
    )


def pgbouncer() -> Dashboard:
    return page(
        "omni-pgbouncer", "PgBouncer", FOLDER, "pgbouncer-exporter", "pgbouncer|pgbouncer-exporter", "Pools: who waits, and for how long.", tags=("database",), links=("omni-postgresql",),
        rows=[
            ("Pools", (
                stat("Answers", "none", "Whether the exporter can ask PgBouncer.", ("min(pgbouncer_up{@})", "up"), steps=GOOD_IS_ONE, mappings=UP_DOWN, height=8),
                graph("Clients waiting", "short", "Clients without a server connection. Above zero for long: the pool is too small, or PostgreSQL too slow.", ("sum by (database) (pgbouncer_pools_client_waiting_connections{@})", "{{database}}"), steps=above(5, 50)),
                graph("Longest wait", "s", "Of the client that waits longest.", ("max by (database) (pgbouncer_pools_client_maxwait_seconds{@})", "{{database}}"), steps=above(1, 10)),
                graph("Active clients", "short", "Clients that have a server connection.", ("sum by (database) (pgbouncer_pools_client_active_connections{@})", "{{database}}")),
            )),
            ("Servers", (
                graph("Server connections", "short", "Used and idle connections to PostgreSQL.", ("sum(pgbouncer_pools_server_active_connections{@})", "active"), ("sum(pgbouncer_pools_server_idle_connections{@})", "idle"), stacked=True),
                graph("Queries", "ops", "Through each database's pool.", (f"sum by (database) (rate(pgbouncer_stats_queries_pooled_total{{@}}[{RATE}]))", "{{database}}")),
            )),
        ],
    )


def redis() -> Dashboard:
    return page(
        "omni-redis", "Redis and Valkey", FOLDER, "redis-exporter", "redis|valkey|redis-exporter|coolify-redis", "Memory, evictions, hit rate and persistence.", tags=("database",), links=("omni-backups",),
        rows=[
            ("Server", (
                stat("Answers", "none", "Whether the exporter can ask.", ("min(redis_up{@})", "up"), steps=GOOD_IS_ONE, mappings=UP_DOWN),
                stat("Memory", "percentunit", "Of maxmemory. With noeviction, full means that writes fail. 'no data': no limit is set.", ("max(redis_memory_used_bytes{@} / (redis_memory_max_bytes{@} > 0))", "used"), steps=above(0.8, 0.9)),
                stat("Evicted in an hour", "short", "Keys thrown out for room. Queues (BullMQ) must never lose any.", ("sum(increase(redis_evicted_keys_total{@}[1h]))", "keys"), steps=WATCH_ABOVE_ZERO),
                stat("Age of the last save", "s", "Since the last RDB file.", ("max(time() - redis_rdb_last_save_timestamp_seconds{@})", "age"), steps=above(86400, 172800)),
            )),
            ("Load", (
                graph("Commands", "ops", "Processed.", (f"sum by (instance) (rate(redis_commands_processed_total{{@}}[{RATE}]))", "{{instance}}")),
                graph("Hits", "percentunit", "Share of look-ups that found their key.", (f"sum(rate(redis_keyspace_hits_total{{@}}[{RATE}])) / (sum(rate(redis_keyspace_hits_total{{@}}[{RATE}])) + sum(rate(redis_keyspace_misses_total{{@}}[{RATE}])))", "hits"), high=1),
                graph("Clients", "short", "Connected, and blocked in a wait.", ("sum(redis_connected_clients{@})", "connected"), ("sum(redis_blocked_clients{@})", "blocked")),
                graph("Memory", "bytes", "In use.", ("redis_memory_used_bytes{@}", "{{instance}}")),
            )),
            ("Keys and trouble", (
                graph("Keys", "short", "By logical database.", ("redis_db_keys{@} > 0", "{{instance}} {{db}}")),
                graph("Slow log", "short", "Entries; see SLOWLOG GET.", ("redis_slowlog_length{@}", "{{instance}}")),
                graph("Rejected connections", "cps", "Refused for maxclients.", (f"rate(redis_rejected_connections_total{{@}}[{RATE}])", "{{instance}}"), steps=WATCH_ABOVE_ZERO),
                stat("Last save", "none", "Whether the last background save worked.", ("min(redis_rdb_last_bgsave_status{@})", "saved"), steps=GOOD_IS_ONE, mappings={"0": ("failed", "red"), "1": ("saved", "green")}, height=8),
            )),
        ],
    )


def mariadb() -> Dashboard:
    return page(
        "omni-mariadb", "MariaDB", FOLDER, "mysqld-exporter", "mariadb|mysqld-exporter", "Postal's database.", tags=("database",), links=("omni-postal", "omni-backups"),
        rows=[
            ("Server", (
                stat("Answers", "none", "Whether the exporter can log in and ask.", ("min(mysql_up{@})", "up"), steps=GOOD_IS_ONE, mappings=UP_DOWN),
                stat("Connections", "percentunit", "Of max_connections.", ("max(mysql_global_status_threads_connected{@} / mysql_global_variables_max_connections{@})", "used"), steps=above(0.7, 0.9)),
                stat("Running threads", "short", "Statements at work now.", ("sum(mysql_global_status_threads_running{@})", "running"), steps=above(20, 60)),
                stat("Buffer pool hits", "percentunit", "Share of reads that needed no disk.", ("1 - sum(rate(mysql_global_status_innodb_buffer_pool_reads{@}[5m])) / sum(rate(mysql_global_status_innodb_buffer_pool_read_requests{@}[5m]))", "hits"), steps=below(0.9, 0.98)),
            )),
            ("Load", (
                graph("Statements", "ops", "Of all kinds.", (f"rate(mysql_global_status_queries{{@}}[{RATE}])", "{{instance}}")),
                graph("Slow statements", "ops", "Longer than long_query_time.", (f"rate(mysql_global_status_slow_queries{{@}}[{RATE}])", "{{instance}}"), steps=above(1, 10)),
                graph("Connections", "short", "Open, and at work.", ("mysql_global_status_threads_connected{@}", "connected"), ("mysql_global_status_threads_running{@}", "running")),
                graph("Aborted", "cps", "Logins that failed, and clients that went away without a word.", (f"rate(mysql_global_status_aborted_connects{{@}}[{RATE}])", "logins"), (f"rate(mysql_global_status_aborted_clients{{@}}[{RATE}])", "clients")),
            )),
        ],
    )


def clickhouse() -> Dashboard:
    return page(
        "omni-clickhouse", "ClickHouse (Langfuse)", FOLDER, "langfuse-clickhouse", "langfuse-clickhouse", "Where Langfuse keeps traces: queries, inserts, parts, memory and disk.", tags=("database", "ai"), links=("omni-backups",),
        rows=[
            ("Server", (
                stat("Queries now", "short", "At work.", ("sum(ClickHouseMetrics_Query{@})", "queries"), steps=above(50, 90)),
                stat("Most parts in a partition", "short", "Merges cannot keep up when it rises; from 300 inserts are slowed down.", ("max(ClickHouseAsyncMetrics_MaxPartCountForPartition{@})", "parts"), steps=above(150, 300)),
                stat("Memory", "bytes", "Tracked by the server.", ("sum(ClickHouseMetrics_MemoryTracking{@})", "memory")),
                stat("Disk left", "percentunit", "On the file system of the data.", ("min(ClickHouseAsyncMetrics_FilesystemMainPathAvailableBytes{@} / ClickHouseAsyncMetrics_FilesystemMainPathTotalBytes{@})", "left"), steps=below(0.1, 0.2)),
            )),
            ("Load", (
                graph("Queries", "ops", "Started, and failed.", (f"sum(rate(ClickHouseProfileEvents_Query{{@}}[{RATE}]))", "all"), (f"sum(rate(ClickHouseProfileEvents_FailedQuery{{@}}[{RATE}]))", "failed")),
                graph("Rows inserted", "ops", "Langfuse's worker writes in batches.", (f"sum(rate(ClickHouseProfileEvents_InsertedRows{{@}}[{RATE}]))", "rows")),
                graph("Inserts delayed or refused", "ops", "Too many parts.", (f"sum(rate(ClickHouseProfileEvents_DelayedInserts{{@}}[{RATE}]))", "delayed"), (f"sum(rate(ClickHouseProfileEvents_RejectedInserts{{@}}[{RATE}]))", "refused"), steps=GOOD_IS_ZERO),
                graph("Connections", "short", "Open connections of clients.", ("sum(ClickHouseMetrics_HTTPConnection{@})", "HTTP"), ("sum(ClickHouseMetrics_TCPConnection{@})", "TCP")),
            )),
        ],
    )


def rabbitmq() -> Dashboard:
    return page(
        "omni-plane-mq", "RabbitMQ (Plane)", FOLDER, "plane-mq", "plane-mq", "Plane's queue: what waits, who works, and the limits at which it stops taking.", tags=("queue",),
        rows=[
            ("Queue", (
                graph("Waiting", "short", "Messages that nobody has taken.", ("sum(rabbitmq_queue_messages_ready{@})", "ready"), steps=above(1000, 10000)),
                graph("Taken, not done", "short", "Given to a worker and not confirmed.", ("sum(rabbitmq_queue_messages_unacked{@})", "unconfirmed")),
                graph("Workers", "short", "Consumers of all queues. None: nothing is done.", ("sum(rabbitmq_queue_consumers{@})", "consumers")),
                graph("Connections", "short", "Open connections of clients.", ("sum(rabbitmq_connections{@})", "connections")),
            )),
            ("Limits", (
                stat("Memory", "percentunit", "Of the limit; above it publishers are blocked.", ("max(rabbitmq_process_resident_memory_bytes{@} / rabbitmq_resident_memory_limit_bytes{@})", "used"), steps=above(0.7, 0.9)),
                stat("Disk", "bytes", "Left above the limit at which publishers are blocked.", ("min(rabbitmq_disk_space_available_bytes{@} - rabbitmq_disk_space_available_limit_bytes{@})", "left"), steps=below(1e9, 5e9)),
                stat("File descriptors", "percentunit", "Of those allowed.", ("max(rabbitmq_process_open_fds{@} / rabbitmq_process_max_fds{@})", "used"), steps=above(0.7, 0.9)),
            )),
        ],
    )


def qdrant() -> Dashboard:
    return page(
        "omni-qdrant", "Qdrant", FOLDER, "qdrant", "qdrant", "Vector database: collections, requests and memory.", tags=("database", "ai"), links=("omni-backups",),
        rows=[
            ("State", (
                stat("Collections", "short", "In this server.", ("sum(collections_total{@})", "collections")),
                stat("Recovery mode", "none", "On: it started after a fault and takes nothing in.", ("max(app_status_recovery_mode{@})", "recovery"), steps=GOOD_IS_ZERO, mappings={"0": ("no", "green"), "1": ("yes", "red")}),
                stat("Failed requests", "percentunit", "Share of REST requests answered with 5xx.", ('sum(rate(rest_responses_total{@, status=~"5.."}[5m])) / sum(rate(rest_responses_total{@}[5m]))', "failed"), steps=above(0.01, 0.05)),
                stat("Memory", "bytes", "Resident, as Qdrant counts it.", ("sum(memory_resident_bytes{@})", "memory")),
            )),
            ("Requests", (
                graph("REST", "reqps", "By status.", (f"sum by (status) (rate(rest_responses_total{{@}}[{RATE}]))", "{{status}}"), stacked=True),
                graph("REST duration", "s", "Half, 95 % and 99 % are faster.", *quantiles("rest_responses_duration_seconds"), steps=above(0.5, 2)),
                graph("gRPC", "reqps", "By endpoint.", (f"sum by (endpoint) (rate(grpc_responses_total{{@}}[{RATE}]))", "{{endpoint}}"), stacked=True),
                graph("Memory", "bytes", "Allocated and resident.", ("sum(memory_allocated_bytes{@})", "allocated"), ("sum(memory_resident_bytes{@})", "resident")),
            )),
        ],
    )


def minio() -> Dashboard:
    return page(
        "omni-minio", "MinIO", FOLDER, "minio|minio-fork", "minio|minio-fork", "Object storage: capacity, drives and S3 requests.", tags=("storage",), links=("omni-seaweedfs", "omni-backups"),
        rows=[
            ("State", (
                stat("Capacity", "percentunit", "Used.", ("1 - sum(minio_cluster_capacity_usable_free_bytes{@}) / sum(minio_cluster_capacity_usable_total_bytes{@})", "used"), steps=above(0.8, 0.9)),
                stat("Drives offline", "short", "Data is still there while enough are left.", ("sum(minio_cluster_drive_offline_total{@})", "offline"), steps=GOOD_IS_ZERO),
                stat("Objects", "short", "In all buckets.", ("sum(minio_cluster_usage_object_total{@})", "objects")),
                stat("Data", "bytes", "In all buckets.", ("sum(minio_cluster_usage_total_bytes{@})", "data")),
            )),
            ("Requests", (
                graph("S3 requests", "reqps", "By call.", (f"sum by (api) (rate(minio_s3_requests_total{{@}}[{RATE}]))", "{{api}}"), stacked=True),
                graph("S3 errors", "reqps", "By call.", (f"sum by (api) (rate(minio_s3_requests_errors_total{{@}}[{RATE}]))", "{{api}}"), steps=above(0.1, 1)),
                graph("Traffic", "Bps", "From and to clients.", (f"sum(rate(minio_s3_traffic_received_bytes{{@}}[{RATE}]))", "in"), (f"sum(rate(minio_s3_traffic_sent_bytes{{@}}[{RATE}]))", "out")),
            )),
        ],
    )


def seaweedfs() -> Dashboard:
    return page(
        "omni-seaweedfs", "SeaweedFS", FOLDER, "seaweedfs", "seaweedfs", "Object storage: master, volumes and S3 requests.", tags=("storage",), links=("omni-minio", "omni-backups"),
        rows=[
            ("State", (
                stat("Leader", "none", "Whether a master leads. Without one nothing can be written.", ("max(SeaweedFS_master_is_leader{@})", "leader"), steps=GOOD_IS_ONE, mappings={"0": ("none", "red"), "1": ("there", "green")}),
                stat("Volumes", "percentunit", "Of those that the server may have. Full: no writes.", ("sum(SeaweedFS_volumeServer_volumes{@}) / sum(SeaweedFS_volumeServer_max_volumes{@})", "used"), steps=above(0.8, 0.95)),
                stat("Data", "bytes", "On disk.", ("sum(SeaweedFS_volumeServer_total_disk_size{@})", "data")),
            )),
            ("Requests", (
                graph("S3 requests", "reqps", "By call and status.", (f"sum by (type, code) (rate(SeaweedFS_s3_request_total{{@}}[{RATE}]))", "{{type}} {{code}}"), stacked=True),
                graph("Filer requests", "reqps", "By kind; S3 goes through the filer.", (f"sum by (type) (rate(SeaweedFS_filer_request_total{{@}}[{RATE}]))", "{{type}}"), stacked=True),
                graph("Filer duration", "s", "Half of the requests, 95 % and 99 % are faster.", *quantiles("SeaweedFS_filer_request_seconds")),
                graph("Data by collection", "bytes", "Each bucket is a collection.", ("sum by (collection) (SeaweedFS_volumeServer_total_disk_size{@})", "{{collection}}")),
            )),
        ],
    )
