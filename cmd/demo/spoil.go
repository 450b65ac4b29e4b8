package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// spoil is what the environment says should go wrong.
type spoil struct {
	startDelay time.Duration
	neverReady bool
	exits      bool
	exitAfter  time.Duration
	exitCode   int
}

func spoilFromEnv() (spoil, error) {
	var s spoil
	var err error
	if s.startDelay, _, err = envDuration("DEMO_START_DELAY"); err != nil {
		return s, err
	}
	if s.exitAfter, s.exits, err = envDuration("DEMO_EXIT_AFTER"); err != nil {
		return s, err
	}
	if v := os.Getenv("DEMO_EXIT_CODE"); v != "" {
		if s.exitCode, err = strconv.Atoi(v); err != nil {
			return s, fmt.Errorf("DEMO_EXIT_CODE=%s is not a number", v)
		}
	}
	v := os.Getenv("DEMO_NEVER_READY")
	s.neverReady = v != "" && v != "0"
	return s, nil
}

func envDuration(name string) (d time.Duration, set bool, err error) {
	v := os.Getenv(name)
	if v == "" {
		return 0, false, nil
	}
	if d, err = time.ParseDuration(v); err != nil {
		return 0, false, fmt.Errorf("%s=%s is not a duration like 200ms", name, v)
	}
	return d, true, nil
}

func (s spoil) beforeStart() {
	time.Sleep(s.startDelay)
	if s.exits && s.exitAfter <= 0 {
		os.Exit(s.exitCode)
	}
}

func (s spoil) afterStart() {
	if s.exits {
		time.AfterFunc(s.exitAfter, func() { os.Exit(s.exitCode) })
	}
}
