package fleet

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/script"
)

// TestScripts plays the scripts in testdata/*.txtar, in the format of package script. They are the specification of the fleet. The
// words are
//
//	options [slow=DURATION] [failures=N] [panic=SHARE]     a new fleet with them
//	list SOURCE [ID[/TYPE][:STATE][*WEIGHT] ...]            the whole list of a source
//	silent SOURCE WHY
//	report ID EPOCH SEQUENCE [in_flight]
//	check ID ... ok | WHY                                  of each of them
//	advise ID [ready | drain | maint | up | down[=WHY] | N% | maxconn:N] ...
//	failed ID N   answered ID N [FAILED]                   after so many answers, FAILED have failed in a row
//	drain ID REASON   undrain ID REASON
//
// A table is written as its members with what is not usual of each: a state other than ready, a weight other than 1, a bound, why,
// and whether a report counts.
func TestScripts(t *testing.T) {
	script.Run(t, time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), func(t *testing.T) *script.Core[Event, Effect] {
		f := New(Options{})
		return &script.Core[Event, Effect]{
			Tick:     Tick{},
			Step:     func(now time.Time, ev Event) ([]Effect, error) { return f.Step(now, ev), nil },
			Deadline: func() time.Time { return f.Deadline() },
			Describe: describe,
			Command: func(_ *script.Clock, words []string) ([]Event, string, error) {
				if words[0] == "options" {
					o, err := options(words[1:])
					f = New(o)
					return nil, "", err
				}
				ev, err := event(words)
				return ev, "", err
			},
		}
	})
}

func options(words []string) (o Options, err error) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "slow":
			o.SlowStart, err = time.ParseDuration(value)
		case "failures":
			o.Failures, err = strconv.Atoi(value)
		case "panic":
			o.Panic, err = strconv.ParseFloat(value, 64)
		default:
			err = fmt.Errorf("no option %q", key)
		}
	}
	return o, err
}

func event(words []string) (all []Event, err error) {
	rest := words[1:]
	number := func(i int) (n int) {
		if n, err = strconv.Atoi(rest[i]); err != nil {
			n = 0
		}
		return n
	}
	switch words[0] {
	case "list":
		e := Listed{Source: rest[0]}
		for _, text := range rest[1:] {
			m := members.Member{Address: "h:1", Weight: 1, State: members.Ready}
			text, weight, some := strings.Cut(text, "*")
			if some {
				if m.Weight, err = strconv.ParseFloat(weight, 64); err != nil {
					return nil, err
				}
			}
			text, state, some := strings.Cut(text, ":")
			if some {
				m.State = members.State(state)
			}
			m.ID, m.Type, _ = strings.Cut(text, "/")
			e.Members = append(e.Members, m)
		}
		return []Event{e}, nil
	case "silent":
		return []Event{Silent{rest[0], rest[1]}}, nil
	case "report":
		r := members.Report{Epoch: uint64(number(1)), Sequence: uint64(number(2))}
		return []Event{Reported{rest[0], r}}, err
	case "check":
		how := rest[len(rest)-1]
		for _, id := range rest[:len(rest)-1] {
			all = append(all, Checked{ID: id, OK: how == "ok", Why: how})
		}
		return all, nil
	case "advise":
		e := Advised{ID: rest[0]}
		for _, w := range rest[1:] {
			switch w, e.Why, _ = strings.Cut(w, "="); w {
			case "ready":
				e.Mode = members.Ready
			case "drain":
				e.Mode = members.Draining
			case "maint":
				e.Mode = members.Down
			case "up":
				e.Health = members.Ready
			case "down":
				e.Health = members.Down
			default:
				var share float64
				var most int
				if n, _ := fmt.Sscanf(w, "maxconn:%d", &most); n == 1 {
					e.MaxInFlight = &most
				} else if n, _ := fmt.Sscanf(w, "%f%%", &share); n == 1 {
					share /= 100
					e.Weight = &share
				} else {
					return nil, fmt.Errorf("unknown advice %q", w)
				}
			}
		}
		return []Event{e}, nil
	case "failed":
		return []Event{Outcome{ID: rest[0], Failed: number(1), Why: "502"}}, err
	case "answered":
		o := Outcome{ID: rest[0], Answered: number(1)}
		if len(rest) > 2 {
			o.Failed, o.Why = number(2), "502"
		}
		return []Event{o}, err
	case "drain", "undrain":
		return []Event{Drain{ID: rest[0], Reason: rest[1], Undo: words[0] == "undrain"}}, nil
	}
	return nil, fmt.Errorf("unknown word %q", words[0])
}

func describe(e Effect) string {
	switch e := e.(type) {
	case Record:
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", e.Kind, e.ID, e.Source, e.Reason)), " ")
	case Publish:
		var all []string
		for _, m := range e.Table.Members {
			text := m.ID
			if m.State != members.Ready {
				text += " " + string(m.State)
			}
			if m.Weight != 1 {
				text += fmt.Sprintf(" *%.1f", m.Weight)
			}
			if m.MaxInFlight != 0 {
				text += fmt.Sprintf(" max %d", m.MaxInFlight)
			}
			if m.Report != nil {
				text += " reports"
			}
			if m.Why != "" {
				text += " (" + m.Why + ")"
			}
			all = append(all, text)
		}
		return fmt.Sprintf("table %d: %s", e.Table.Epoch, strings.Join(all, ", "))
	}
	panic("an effect without a description")
}
