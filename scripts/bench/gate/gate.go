//go:build linux

// Package gate makes the workers of a bench stuck: they accept and do not answer.
package gate

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Gate is what every answer passes through. Safe for concurrent use.
type Gate struct {
	takes time.Duration
	mu    sync.RWMutex
}

// New returns a gate at which every answer takes some time without using the CPU. From now on SIGUSR1 shuts it and SIGUSR2
// opens it, for what waits too, until the process ends.
func New(takes time.Duration) *Gate {
	g := &Gate{takes: takes}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		shut := false
		for s := range signals {
			switch {
			case s == syscall.SIGUSR1 && !shut:
				g.mu.Lock()
				shut = true
			case s == syscall.SIGUSR2 && shut:
				g.mu.Unlock()
				shut = false
			}
		}
	}()
	return g
}

// Pass waits as long as an answer takes, and while the gate is shut.
func (g *Gate) Pass() {
	if g.takes > 0 {
		time.Sleep(g.takes)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
}
