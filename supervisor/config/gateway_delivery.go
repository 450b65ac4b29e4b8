package config

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc/policy"
)

// Delivery is where a gateway's requests go, how they are delivered, and when a member that fails gets none.
type Delivery struct {
	Routes   []policy.Route `json:",omitempty"` // each has a name
	Sticky   *policy.Sticky `json:",omitempty"` // nil: a user has no member of their own
	Deliver  string         `json:",omitempty"` // one of policy.Delivers; "": proxy
	Base     string         `json:",omitempty"`
	KeepPath bool           `json:",omitempty"`
	Replay   int64          `json:",omitempty"` // bytes; 0: no member may have a request sent on

	Eject     Eject         `json:",omitzero"`
	Panic     float64       `json:",omitempty"` // share of members, 0 to 1; 0: the default; -1: ejections always count
	SlowStart time.Duration `json:",omitempty"`
}

// Eject says when a member whose requests fail gets no more for a while. The zero value of each field is its default.
type Eject struct {
	Status   []string      `json:",omitempty"` // of answers by which a member fails, as text
	Failures int           `json:",omitempty"` // in a row; -1: no member is ejected
	For      time.Duration `json:",omitempty"` // the first ejection lasts
	Longest  time.Duration `json:",omitempty"` // and one that follows at most
}

// EjectOff is Eject.Failures of a gateway that ejects no member.
const EjectOff = -1

// PanicOff is Delivery.Panic of a gateway whose ejections always count.
const PanicOff = -1

// DefaultReplay is Delivery.Replay where a config says only that members may have requests sent on, in bytes.
const DefaultReplay = 1 << 20

// into adds to a policy what d says.
func (d *Delivery) into(p *policy.Policy) {
	p.Routes, p.Sticky, p.Deliver, p.Base, p.KeepPath, p.Replay = d.Routes, d.Sticky, d.Deliver, d.Base, d.KeepPath, d.Replay
	p.FailStatus = numbers(d.Eject.Status)
}

// numbers reads statuses. One that is not a number is 0, which the check of the policy tells.
func numbers(texts []string) (all []int) {
	for _, text := range texts {
		n := 0
		_, _ = fmt.Sscan(text, &n)
		all = append(all, n)
	}
	return all
}

// delivery checks what a policy does not.
func (c *checker) delivery(path string, d *Delivery) {
	e := d.Eject
	for field, t := range map[string]time.Duration{"for": e.For, "longest": e.Longest} {
		if t < 0 {
			c.fail(Join(Join(path, "eject"), field), "%s is negative", t)
		}
	}
	if e.For > 0 && e.Longest > 0 && e.For > e.Longest {
		c.fail(Join(Join(path, "eject"), "longest"), "%s is shorter than for, which is %s", e.Longest, e.For)
	}
	if e.Failures < EjectOff {
		c.fail(Join(Join(path, "eject"), "failures"), "%d is negative: write off or 1 and more", e.Failures)
	}
	if !(d.Panic >= 0 && d.Panic <= 1 || d.Panic == PanicOff) {
		c.fail(Join(path, "panic"), "%v is out of range: write off or 0 to 1, such as 0.5", d.Panic)
	}
	if d.SlowStart < 0 {
		c.fail(Join(path, "slow_start"), "%s is negative", d.SlowStart)
	}
}
