"""Running under systemd: say that results flow, feed its watchdog with them, reload."""
