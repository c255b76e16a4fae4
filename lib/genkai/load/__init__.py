"""The load engine: what runs inside locust's processes, and the files that its processes and the launcher share.

`job`, `levels`, `process`, `ceiling`, `advice`, `counters`, `losses` and `tail` import neither locust nor gevent: the
launcher uses them in any process.
"""
