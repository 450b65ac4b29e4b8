package pool

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/script"
)

// TestScripts plays the scripts in testdata/*.txtar, in the format of package script. They are the specification of the pool.
// The pool's own words are:
//
//	config KEY=VALUE ...       first line, optional: what differs from Default (and from two workers, no jitter)
//	start                      the commands, as in event.go
//	scale N   roll [REASON]   back [REASON]   reconfigure KEY=VALUE ...   hurry DURATION   stop [REASON]   kill [REASON]
//	hold SLOT [REASON]   release SLOT or -1
//	spawned ID ...             facts; the PID is 100 + ID
//	failed ID ...   ready ID ...   leaving ID ... [REASON]   recycle ID ... [dump=1] [REASON]
//	stalled ID ... [REASON]   resumed ID ...
//	exit ID ... [code=N] [signal=N [NAME]]
//	up ID ...                  spawned and ready
//	restore [DURATION]         another pool goes on from the snapshot, so long after it
//	adopt ID@SLOT ...          another pool takes over these, and knows nothing else
//	restored                   once the facts are told
//	parked ID ...              initialised, and without a slot
//	pause DURATION             the pool is told of the pause
//	requests hold [DURATION] [REASON]   requests pass [REASON]
//	status                     prints what Status says
//
// A record is an answer after a dash. All steps pass through the checker, so each script also holds the rules that hold
// always.
func TestScripts(t *testing.T) {
	script.Run(t, time.Unix(0, 0), func(t *testing.T) *script.Core[Event, Effect] {
		cfg := Default()
		cfg.Workers, cfg.Backoff.Jitter, cfg.AgeJitter, cfg.Strict = 2, 0, 0, true
		c := newChecker(cfg, time.Unix(0, 0))
		return &script.Core[Event, Effect]{
			Tick:     Tick{},
			Deadline: func() time.Time { return c.pool.Deadline() },
			Describe: describe,
			Step: func(now time.Time, ev Event) ([]Effect, error) {
				c.now = now
				return c.step(ev)
			},
			Command: func(clock *script.Clock, words []string) ([]Event, string, error) {
				switch args := words[1:]; words[0] {
				case "config":
					configure(t, &cfg, args)
					c = newChecker(cfg, clock.Now)
				case "reconfigure":
					configure(t, &cfg, args)
					return []Event{Reconfigure{cfg}}, "", nil
				case "restore":
					ago := time.Duration(0)
					if len(args) > 0 {
						ago, _ = time.ParseDuration(args[0])
					}
					c.now = clock.Now
					err := c.restore(ago)
					clock.Now = c.now
					return nil, "", err
				case "adopt":
					var found []Found
					for _, arg := range args {
						var f Found
						if _, err := fmt.Sscanf(arg, "%d@%d", &f.ID, &f.Slot); err != nil {
							return nil, "", err
						}
						f.PID = 100 + int(f.ID)
						found = append(found, f)
					}
					p, err := Restore(cfg, Adopted(cfg, found, ""), clock.Now, 0)
					if err != nil {
						return nil, "", err
					}
					c = checkerOf(p, cfg, clock.Now)
				case "status":
					return nil, status(c.pool, clock.Now), nil
				default:
					return events(t, words), "", nil
				}
				return nil, "", nil
			},
		}
	})
}

// events makes the events of one line: one for each ID.
func events(t *testing.T, words []string) (evs []Event) {
	t.Helper()
	line := strings.Join(words, " ")
	var ids []WorkerID
	var rest []string
	values := map[string]int{}
	for _, word := range words[1:] {
		key, value, is := strings.Cut(word, "=")
		n, err := strconv.Atoi(value)
		if is && err == nil {
			values[key] = n
			continue
		}
		if id, err := strconv.ParseUint(word, 10, 64); err == nil {
			ids = append(ids, WorkerID(id))
			continue
		}
		rest = append(rest, word)
	}
	reason := strings.Join(rest, " ")
	switch words[0] {
	case "start":
		return []Event{Start{}}
	case "restored":
		return []Event{Restored{}}
	case "scale":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return []Event{Scale{n}}
	case "roll":
		return []Event{Roll{Reason: reason}}
	case "back":
		return []Event{Roll{reason, true}}
	case "hold", "release":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if words[0] == "release" {
			return []Event{Release{n}}
		}
		return []Event{Hold{n, strings.Join(words[2:], " ")}}
	case "pause", "hurry":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if words[0] == "pause" {
			return []Event{Paused{d}}
		}
		return []Event{Hurry{d}}
	case "requests": // hold [DURATION] [REASON], pass [REASON]
		if words[1] == "pass" {
			return []Event{PassRequests{strings.Join(words[2:], " ")}}
		}
		h, words := HoldRequests{}, words[2:]
		if len(words) > 0 {
			if d, err := time.ParseDuration(words[0]); err == nil {
				h.For, words = d, words[1:]
			}
		}
		h.Reason = strings.Join(words, " ")
		return []Event{h}
	case "stop":
		return []Event{Stop{reason}}
	case "kill":
		return []Event{Kill{reason}}
	}
	if len(ids) == 0 {
		t.Fatalf("%s: no such command, or no ID", line)
	}
	for _, id := range ids {
		switch words[0] {
		case "spawned":
			evs = append(evs, Spawned{id, 100 + int(id)})
		case "up":
			evs = append(evs, Spawned{id, 100 + int(id)}, Ready{id})
		case "failed":
			evs = append(evs, SpawnFailed{id, "no such file"})
		case "ready":
			evs = append(evs, Ready{id})
		case "leaving":
			evs = append(evs, Leaving{id, reason})
		case "recycle":
			evs = append(evs, Recycle{id, reason, values["dump"] != 0})
		case "parked":
			evs = append(evs, Parked{id})
		case "stalled":
			evs = append(evs, Stalled{id, reason})
		case "resumed":
			evs = append(evs, Resumed{id})
		case "exit":
			evs = append(evs, Exited{ID: id, Code: values["code"], Signal: values["signal"], SignalName: reason})
		default:
			t.Fatalf("%s: no such command", line)
		}
	}
	return evs
}

func configure(t *testing.T, cfg *Config, args []string) {
	t.Helper()
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch key {
		case "workers":
			cfg.Workers = n
		case "restart":
			cfg.Restart = map[string]Restart{"on-failure": RestartOnFailure, "always": RestartAlways, "never": RestartNever}[value]
		case "start-limit":
			cfg.StartLimit = n
		case "ready-timeout":
			cfg.ReadyTimeout = d
		case "drain-delay":
			cfg.DrainDelay = d
		case "drain-timeout":
			cfg.DrainTimeout = d
		case "kill-after":
			cfg.KillAfter = d
		case "stop-first":
			cfg.StopFirst = value == "true"
		case "max-surge":
			cfg.MaxSurge = n
		case "max-unavailable":
			cfg.MaxUnavailable = n
		case "jitter":
			cfg.Backoff.Jitter, _ = strconv.ParseFloat(value, 64)
		case "backoff-max":
			cfg.Backoff.Max = d
		case "stall-timeout":
			cfg.StallTimeout = d
		case "max-age":
			cfg.MaxAge = d
		case "age-jitter":
			cfg.AgeJitter, _ = strconv.ParseFloat(value, 64)
		case "standby":
			cfg.Standby = n
		case "first-id":
			cfg.FirstID = WorkerID(n)
		default:
			t.Fatalf("no such setting: %s", arg)
		}
	}
}

// describe writes an effect as one line.
func describe(e Effect) string {
	switch e := e.(type) {
	case Spawn:
		if e.Slot == noSlot {
			return fmt.Sprintf("spawn %d standby gen=%d", e.ID, e.Generation)
		}
		return fmt.Sprintf("spawn %d slot=%d gen=%d", e.ID, e.Slot, e.Generation)
	case Assign:
		return fmt.Sprintf("assign %d slot=%d", e.ID, e.Slot)
	case Dump:
		return fmt.Sprintf("dump %d (%s)", e.ID, e.Reason)
	case Drain:
		again := ""
		if e.Again {
			again = fmt.Sprintf(" again for %v + %v", e.Delay, e.Timeout)
		}
		if e.Handover {
			return fmt.Sprintf("drain%s %d slot=%d handover (%s)", again, e.ID, e.Slot, e.Reason)
		}
		if e.Linger {
			return fmt.Sprintf("drain%s %d slot=%d linger (%s)", again, e.ID, e.Slot, e.Reason)
		}
		return fmt.Sprintf("drain%s %d slot=%d (%s)", again, e.ID, e.Slot, e.Reason)
	case Signal:
		if e.Kill {
			return fmt.Sprintf("SIGKILL %d (%s)", e.ID, e.Reason)
		}
		return fmt.Sprintf("SIGTERM %d (%s)", e.ID, e.Reason)
	case OpenSlot:
		return fmt.Sprintf("open slot %d", e.Slot)
	case Steer:
		if len(e.Slots) == 0 {
			return "steer to none"
		}
		return "steer to " + strings.Trim(fmt.Sprint(e.Slots), "[]")
	case RetireSlot:
		return fmt.Sprintf("retire slot %d", e.Slot)
	case Resolve:
		if e.Back {
			return fmt.Sprintf("resolve gen=%d back (%s)", e.Generation, e.Reason)
		}
		return fmt.Sprintf("resolve gen=%d (%s)", e.Generation, e.Reason)
	case Done:
		return fmt.Sprintf("done %d (%s)", e.Code, e.Reason)
	case Record:
		return e.describe()
	}
	return fmt.Sprintf("%#v", e)
}

func (r Record) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "- %s", r.Kind)
	if r.ID != 0 {
		fmt.Fprintf(&b, " worker=%d", r.ID)
	}
	if r.Slot >= 0 {
		fmt.Fprintf(&b, " slot=%d", r.Slot)
	}
	if r.State != StateNone {
		fmt.Fprintf(&b, " state=%s", r.State)
	}
	if r.Generation != 0 {
		fmt.Fprintf(&b, " gen=%d", r.Generation)
	}
	if r.Kind == KindScaled || r.Kind == KindRestored {
		fmt.Fprintf(&b, " slots=%d", r.Slots)
	}
	if r.Failures != 0 {
		fmt.Fprintf(&b, " failures=%d", r.Failures)
	}
	if r.Kind == KindBackoff || r.Kind == KindRequestsHeld {
		fmt.Fprintf(&b, " delay=%v", r.Delay)
	}
	if r.Took != 0 {
		fmt.Fprintf(&b, " took=%v", r.Took)
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, " (%s)", r.Reason)
	}
	return b.String()
}

func status(pool *Pool, now time.Time) string {
	out := &strings.Builder{}
	st := pool.Status()
	fmt.Fprintf(out, "%s wanted=%d ready=%d gen=%d", st.Phase, st.Wanted, st.Ready, st.Generation)
	if r := st.Rollout; r != nil {
		fmt.Fprintf(out, " rollout=%d rolled=%d queued=%v", r.Generation, r.Rolled, r.Queued)
	}
	if d := pool.Deadline(); !d.IsZero() {
		fmt.Fprintf(out, " deadline=+%v", d.Sub(now))
	}
	if r := st.Requests; r != nil {
		fmt.Fprintf(out, " requests held for %v (%s)", now.Sub(r.Since), r.Reason)
		if !r.Until.IsZero() {
			fmt.Fprintf(out, " until +%v", r.Until.Sub(now))
		}
	}
	fmt.Fprintln(out)
	for _, s := range st.Slots {
		fmt.Fprintf(out, "slot %d %s gen=%d", s.Slot, s.State, s.Generation)
		if s.Failures > 0 {
			fmt.Fprintf(out, " failures=%d", s.Failures)
		}
		if s.Finished {
			fmt.Fprint(out, " finished")
		}
		if s.Retiring {
			fmt.Fprint(out, " retiring")
		}
		if s.Held != "" {
			fmt.Fprintf(out, " held (%s)", s.Held)
		}
		if s.Replacing != "" {
			fmt.Fprintf(out, " replacing (%s)", s.Replacing)
		}
		for _, w := range s.Workers {
			fmt.Fprintf(out, ", worker %d %s gen=%d", w.ID, w.State, w.Generation)
			if w.Stalled != "" {
				fmt.Fprintf(out, " stalled (%s)", w.Stalled)
			}
		}
		fmt.Fprintln(out)
	}
	for _, w := range st.Standbys {
		fmt.Fprintf(out, "standby: worker %d %s gen=%d\n", w.ID, w.State, w.Generation)
	}
	for _, w := range st.Abandoned {
		fmt.Fprintf(out, "abandoned: worker %d\n", w.ID)
	}
	return out.String()
}
