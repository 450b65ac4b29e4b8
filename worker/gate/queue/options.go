package queue

import "github.com/tinehq/tine/ipc/policy"

// Options bound a queue. The zero value of each field is its default.
type Options = policy.Queue

const (
	// MaxPriority is the highest; requests have DefaultPriority if nobody says another.
	MaxPriority     = 9
	DefaultPriority = 5
)
