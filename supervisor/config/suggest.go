package config

import (
	"strings"

	"github.com/tinehq/tine/supervisor/control/api"
)

// otherWords maps names that other tools have to our keys.
var otherWords = map[string]string{
	"cmd": "command", "exec": "command", "script": "command", "args": "command", "entrypoint": "command",
	"instances": "workers", "replicas": "workers", "processes": "workers", "n": "workers", "scale": "workers",
	"port": "listen", "address": "listen", "addr": "listen", "bind": "listen", "ports": "listen",
	"cwd": "dir", "workdir": "dir", "working_dir": "dir", "working_directory": "dir", "directory": "dir", "folder": "dir",
	"environment": "env", "envfile": "env_file", "dotenv": "env_file", "env_files": "env_file",
	"interval": "every", "period": "every", "refresh": "every", "logging": "log", "loglevel": "level",
	"services": "apps", "programs": "apps", "strategy": "rollout", "grace": "drain_timeout",
	"shutdown_timeout": "drain_timeout", "stop_timeout": "drain_timeout", "start_timeout": "ready_timeout",
	"balance": "policy", "balancing": "policy", "load_balancing": "policy", "algorithm": "policy", "lb": "policy",
	"watchdog": "stall_timeout", "hang_timeout": "stall_timeout", "harakiri": "request_timeout", "timeout": "request_timeout",
	"max_connections": "overload_at", "overload": "on_overload", "max_lifetime": "max_age", "max_uptime": "max_age",
	"max_memory": "max_rss", "max_memory_restart": "max_rss", "memory_limit": "max_rss", "reload_on_rss": "max_rss",
	"max_requests_jitter": "recycle_jitter", "spare": "standby", "spares": "standby", "warm": "standby",
	"leastconn": "least", "least_conn": "least", "least_connections": "least", "rr": "round-robin",
	"ip_hash": "client-ip", "source": "client-ip", "sticky": "client-ip", "none": "hash", "kernel": "hash", "best": "auto",
	"reject": "refuse", "drop": "refuse", "shed": "refuse", "wait": "queue",
	"group": "namespace", "depends": "depends_on", "after": "depends_on", "requires": "depends_on", "needs": "depends_on",
	"cron": "cron_restart", "schedule": "cron_restart", "one_shot": "oneshot", "once": "oneshot", "job": "oneshot",
	"hook": "hooks", "pre_start": "before_start", "exec_start_pre": "before_start", "post_start": "after_ready",
	"pre_stop": "before_drain", "on_exit": "on_crash", "on_failure": "on_crash", "ignore_watch": "ignore", "exclude": "ignore",
	"watch_delay": "debounce", "delay": "debounce", "out_file": "file", "error_file": "file", "filename": "file",
	"max_files": "keep", "max_backups": "keep", "retain": "keep", "rotate": "keep", "gzip": "compress", "overflow": "on_full",
	"ui": "dashboard", "web": "dashboard", "prometheus": "metrics", "socket": "control", "api": "control", "token": "token_file",
	"healthy": "ready", "started": "ready", "completed": "exited", "finished": "exited", "done": "exited", "discard": "drop",
	"command": "exec", "shell": "exec", "path": "file", "database": "dsn", "values": "cache",
}

// Suggest returns the one of the known words that is probably meant by word, or "": the one with the fewest differing letters
// (at most 3, fewer in a short word), else the one that is known by that name in another tool.
func Suggest(word string, known []string) string {
	w := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, bestDistance := "", max(1, min(3, len(w)/3))+1
	for _, k := range known {
		if d := api.Distance(w, strings.ReplaceAll(k, "-", "_")); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if otherWords[w] == k {
			return k
		}
	}
	return ""
}
