package processes

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
)

// The statistics of a report beside members.Connections.
const (
	CPU    members.Stat = "cpu"
	Memory members.Stat = "memory"
)

// Source samples the processes of a command. What is not optional is set.
type Source struct {
	Name    string         // of the source, as events call it
	Command string         // as the kernel has it, at most 15 bytes: R; "": any
	User    string         // name or number; "": any
	AppFrom *regexp.Regexp // of the working folder and the open files: its first group is the app. The first file that matches counts
	// Known are the apps that may be picked; their IDs are the names. nil: those that are seen, each at the address on which it listens.
	Known []members.Member
	Every time.Duration // between two samples; default 1 s
	Warn  func(string)  // optional; called by the goroutine of Run
}

// Run emits a sample at once, and then one after each Every, until ctx is done. Each is a fleet.Listed; where nothing can be seen, a fleet.Silent.
func (s Source) Run(ctx context.Context, emit func(fleet.Event)) {
	if s.Every <= 0 {
		s.Every = time.Second
	}
	look, err := s.looker()
	if err != nil {
		emit(fleet.Silent{Source: s.Name, Why: err.Error()})
		<-ctx.Done()
		return
	}
	r := reporter{source: s, epoch: uint64(ipc.Monotonic())}
	turn := time.NewTicker(s.Every)
	defer turn.Stop()
	warned := ""
	for {
		seen, err := look()
		if err != nil && len(seen.processes) == 0 {
			emit(fleet.Silent{Source: s.Name, Why: err.Error()})
		} else {
			emit(fleet.Listed{Source: s.Name, Members: r.report(seen, ipc.Monotonic())})
		}
		if warned != text(err) && len(seen.processes) > 0 {
			if warned = text(err); warned != "" && s.Warn != nil {
				s.Warn(warned)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-turn.C:
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sample is what was seen at one moment.
type sample struct {
	processes []process
	network   network
}

// process is one process of an app.
type process struct {
	pid     int
	app     string
	started uint64 // in ticks since the start of the host: with pid, it tells processes apart
	cpu     time.Duration
	memory  int64
	sockets []uint64 // inodes
}

// reporter makes reports of samples.
type reporter struct {
	source   Source
	epoch    uint64
	sequence uint64
	at       int64 // of the sample before, in nanoseconds
	used     map[incarnation]time.Duration
}

type incarnation struct {
	pid     int
	started uint64
}

// tally is what an app has.
type tally struct {
	address string // the first on which it listens; "": none
	users   int
	cpu     time.Duration
	memory  int64
}

// report makes the members of a sample, with their reports. now is in nanoseconds.
func (r *reporter) report(s sample, now int64) []members.Member {
	apps := map[string]*tally{}
	used := map[incarnation]time.Duration{}
	inodes := map[string][]uint64{}
	for _, p := range s.processes {
		t := apps[p.app]
		if t == nil {
			t = &tally{}
			apps[p.app] = t
		}
		t.memory += p.memory
		used[incarnation{p.pid, p.started}] = p.cpu
		if before, known := r.used[incarnation{p.pid, p.started}]; known {
			t.cpu += p.cpu - before
		}
		inodes[p.app] = append(inodes[p.app], p.sockets...)
	}
	users := s.network.users()
	for app, t := range apps {
		for i, a := range s.network.of(inodes[app]) {
			if i == 0 {
				t.address = reachable(a)
			}
			t.users += users[a]
		}
	}
	r.sequence++
	passed := now - r.at
	first := r.used == nil
	r.at, r.used = now, used
	stats := func(t *tally) *members.Report {
		report := &members.Report{Epoch: r.epoch, Sequence: r.sequence, ReceivedAt: now, Stats: map[members.Stat]members.Value{Memory: float64(t.memory)}}
		if t.address != "" {
			report.Stats[members.Connections] = float64(t.users)
		}
		if !first && passed > 0 {
			report.Stats[CPU] = float64(t.cpu) / float64(passed)
		}
		return report
	}
	list := slices.Clone(r.source.Known)
	for i := range list {
		if t := apps[list[i].ID]; t != nil {
			list[i].Report = stats(t)
		}
	}
	if r.source.Known == nil {
		for app, t := range apps {
			if t.address != "" {
				list = append(list, members.Member{ID: app, Address: t.address, Weight: 1, State: members.Ready, Report: stats(t)})
			}
		}
		slices.SortFunc(list, func(a, b members.Member) int { return compare(a.ID, b.ID) })
	}
	return list
}
