//go:build !linux

package tickets

import (
	"sync/atomic"
	"time"
)

func futexWait(*atomic.Uint32, uint32, time.Duration) error { return ErrNoWait }

func futexWake(*atomic.Uint32) {}
