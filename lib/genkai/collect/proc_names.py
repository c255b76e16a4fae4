"""Raw names of the /proc sampler and the metrics they become: (metric, unit, factor); `proc` explains them."""

PAGE, SECTOR, KIB = 4096, 512, 1024

INCREMENTS = {
    "vm.oom_kill": "oom_kills",
    "tcp.AttemptFails": "tcp_attempt_fails", "tcp.EstabResets": "tcp_established_resets",
    "tcp.RetransSegs": "tcp_retransmitted_segments",
    "tcpext.ListenOverflows": "tcp_listen_overflows", "tcpext.ListenDrops": "tcp_listen_drops",
    "tcpext.TCPTimeWaitOverflow": "tcp_time_wait_overflows", "tcpext.TCPSynRetrans": "tcp_syn_retransmits",
    "tcpext.TCPTimeouts": "tcp_timeouts", "tcpext.TCPLostRetransmit": "tcp_lost_retransmits",
    "tcpext.TCPAbortOnMemory": "tcp_aborts_on_memory", "tcpext.TCPAbortOnTimeout": "tcp_aborts_on_timeout",
    "tcpext.TCPBacklogDrop": "tcp_backlog_drops", "tcpext.TCPReqQFullDrop": "tcp_request_queue_full_drops",
    "tcpext.TCPReqQFullDoCookies": "tcp_request_queue_full_cookies",
    "tcpext.SyncookiesSent": "tcp_syncookies_sent", "tcpext.TCPMemoryPressures": "tcp_memory_pressures",
    "tcpext.TWKilled": "tcp_time_wait_killed",
}  # fmt: skip
RATES = {
    "stat.ctxt": ("context_switches_per_s", "1/s", 1.0), "stat.processes": ("forks_per_s", "1/s", 1.0),
    "vm.pgmajfault": ("major_faults_per_s", "1/s", 1.0), "vm.pswpin": ("swap_in_pages_per_s", "1/s", 1.0),
    "vm.pswpout": ("swap_out_pages_per_s", "1/s", 1.0),
    "tcp.ActiveOpens": ("tcp_active_opens_per_s", "1/s", 1.0),
    "tcp.PassiveOpens": ("tcp_passive_opens_per_s", "1/s", 1.0),
    "tcp.InSegs": ("tcp_segments_in_per_s", "1/s", 1.0), "tcp.OutSegs": ("tcp_segments_out_per_s", "1/s", 1.0),
    "pressure.cpu": ("cpu_pressure_ratio", "ratio", 1e-6), "pressure.io": ("io_pressure_ratio", "ratio", 1e-6),
    "pressure.memory": ("memory_pressure_ratio", "ratio", 1e-6),
}  # fmt: skip
LEVELS = {
    "stat.procs_running": ("run_queue", "processes", 1.0),
    "stat.procs_blocked": ("blocked_processes", "processes", 1.0),
    "mem.MemTotal": ("mem_total_bytes", "bytes", KIB), "mem.MemFree": ("mem_free_bytes", "bytes", KIB),
    "mem.MemAvailable": ("mem_available_bytes", "bytes", KIB), "mem.Buffers": ("mem_buffers_bytes", "bytes", KIB),
    "mem.Cached": ("mem_cached_bytes", "bytes", KIB), "mem.Dirty": ("mem_dirty_bytes", "bytes", KIB),
    "sock.used": ("sockets_used", "sockets", 1.0), "sock.inuse": ("sockets_tcp_in_use", "sockets", 1.0),
    "sock.orphan": ("sockets_orphaned", "sockets", 1.0), "sock.tw": ("sockets_time_wait", "sockets", 1.0),
    "sock.mem_pages": ("tcp_memory_bytes", "bytes", PAGE), "tcp.CurrEstab": ("tcp_established", "sockets", 1.0),
    "conntrack.count": ("conntrack_entries", "entries", 1.0), "conntrack.max": ("conntrack_limit", "entries", 1.0),
    "files.open": ("files_open", "descriptors", 1.0), "files.max": ("files_limit", "descriptors", 1.0),
}  # fmt: skip
DISK = {
    "read_sectors": ("read_bytes_per_s", "bytes/s", SECTOR),
    "written_sectors": ("written_bytes_per_s", "bytes/s", SECTOR),
    "reads": ("reads_per_s", "1/s", 1.0), "writes": ("writes_per_s", "1/s", 1.0),
    "busy_ms": ("busy_ratio", "ratio", 1e-3), "queue_ms": ("queue", "requests", 1e-3),
}  # fmt: skip
NET = {
    "rx_bytes": ("received_bytes_per_s", "bytes/s"), "tx_bytes": ("sent_bytes_per_s", "bytes/s"),
    "rx_packets": ("received_packets_per_s", "1/s"), "tx_packets": ("sent_packets_per_s", "1/s"),
}  # fmt: skip
