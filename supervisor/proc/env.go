package proc

import (
	"slices"
	"strings"
)

// ScrubEnv returns env without the variables that were meant for this process alone: a worker that found them would
// notify the wrong supervisor, take descriptors that it does not have, or believe itself to be an upgrade in progress.
// What Tine tells a worker is added afterwards.
func ScrubEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return private(key)
	})
}

func private(key string) bool {
	switch key {
	case "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES", // systemd: sockets
		"NOTIFY_SOCKET", "MAINPID", "FDSTORE", // systemd: readiness
		"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID": // Node: a parent's channel
		return true
	}
	return strings.HasPrefix(key, "TINE_") || strings.HasPrefix(key, "WATCHDOG_") || strings.HasPrefix(key, "TABLEFLIP_")
}

// lastValues keeps the last value of each key, in the place of its first: C programs take the first value, Go programs
// the last, so two would make workers disagree. The result has no spare capacity: an append by one caller never writes
// where another reads.
func lastValues(env []string) []string {
	out := make([]string, 0, len(env))
	at := make(map[string]int, len(env))
	for _, kv := range env {
		key, _, ok := strings.Cut(kv, "=")
		if i, seen := at[key]; ok && seen {
			out[i] = kv
			continue
		}
		at[key] = len(out)
		out = append(out, kv)
	}
	return slices.Clip(out)
}
