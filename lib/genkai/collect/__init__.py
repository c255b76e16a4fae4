"""What the machines did meanwhile: vmstat, /proc, web-server status, CloudWatch and discovery → the metrics table."""
