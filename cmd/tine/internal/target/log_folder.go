package target

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// LogFolder returns the folder of the logs of masters in the background whose config names no log file. It may not exist.
func LogFolder() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "tine"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/log/tine", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a folder for the log: %w: name a file with --log-file", err)
	}
	return filepath.Join(home, ".local", "state", "tine"), nil
}

// lastLog returns the newest log in LogFolder; empty: there is none.
func lastLog() (path string) {
	dir, err := LogFolder()
	if err != nil {
		return ""
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	var newest time.Time
	for _, log := range logs {
		if info, err := os.Stat(log); err == nil && info.ModTime().After(newest) {
			newest, path = info.ModTime(), log
		}
	}
	return path
}
