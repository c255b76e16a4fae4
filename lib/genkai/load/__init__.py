"""The load engine: what runs inside locust's processes, and the files that its processes and the launcher share.

`job`, `levels`, `process` and `ceiling` import neither locust nor gevent: the launcher uses them in any process.
"""
