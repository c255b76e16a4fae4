"""The demo target (balancer and app instances, real processes on loopback) and a local AWS to ask about it."""
