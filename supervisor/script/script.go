package script

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the answers of the core into the scripts: read the difference")

// MaxTicks is how often one "wait" may tick. A core that sets its deadline again and again without going on fails there.
const MaxTicks = 10_000

// Clock is the time of a story.
type Clock struct {
	Begin time.Time // of the story
	Now   time.Time // not before Begin
}

// Core is what the runner needs of a core. Event and Effect are the core's own types. Nothing here is called concurrently.
type Core[Event, Effect any] struct {
	// Tick is the event that only time has passed.
	Tick Event
	// Step tells the core of an event and returns its effects. An error is a broken rule: the story fails and goes on.
	Step func(now time.Time, ev Event) ([]Effect, error)
	// Deadline returns when the core wants the next tick, zero for never.
	Deadline func() time.Time
	// Command reads a line that is not the runner's own. It returns the events that the line stands for, and text that is
	// printed at once, indented (a status, say). It may change the core's configuration, replace the core or set the clock.
	// An error (an unknown word, a bad number) ends the story.
	Command func(clock *Clock, words []string) (events []Event, text string, err error)
	// Describe writes an effect as one line.
	Describe func(Effect) string
}

// Run plays the stories of testdata/*.txtar, each in a subtest NAME/STORY and with a core from fresh, whose stories begin at
// the given time. With -update it writes the files that differ.
func Run[Event, Effect any](t *testing.T, begin time.Time, fresh func(t *testing.T) *Core[Event, Effect]) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot find scripts in testdata/*.txtar: %v", err)
	}
	for _, file := range files {
		runFile(t, file, *update, begin, fresh)
	}
}

func runFile[Event, Effect any](t *testing.T, file string, update bool, begin time.Time, fresh func(t *testing.T) *Core[Event, Effect]) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for i := range archive.Files {
		story := &archive.Files[i]
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+story.Name, func(t *testing.T) {
			got, errs := Play(story.Data, begin, fresh(t))
			for _, err := range errs {
				t.Error(err)
			}
			switch {
			case bytes.Equal(got, story.Data):
			case update && len(errs) == 0:
				story.Data, changed = got, true
			default:
				t.Errorf("%s: the core does something else (-update writes it):\n%s", file, difference(story.Data, got))
			}
		})
	}
	if !changed {
		return
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Play plays one story and returns it with the answers that the core gave, and what went wrong, each with its line. After
// an error of Command, or a panic of the core, the text ends at that line.
func Play[Event, Effect any](story []byte, begin time.Time, core *Core[Event, Effect]) (played []byte, errs []error) {
	p := &player[Event, Effect]{Core: core, clock: Clock{begin, begin}}
	for line := range strings.Lines(string(story)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, " ") {
			continue // an answer of last time
		}
		fmt.Fprintln(&p.out, line)
		if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
			p.line = line
			if err := p.play(words); err != nil {
				p.fail(err)
				break
			}
		}
	}
	return p.out.Bytes(), p.errs
}

// player is one story as it is played.
type player[Event, Effect any] struct {
	*Core[Event, Effect]
	clock Clock
	line  string // that is being played
	out   bytes.Buffer
	errs  []error
}

func (p *player[Event, Effect]) fail(err error) {
	p.errs = append(p.errs, fmt.Errorf("%s: at %v: %w", p.line, p.since(), err))
}

func (p *player[Event, Effect]) since() time.Duration { return p.clock.Now.Sub(p.clock.Begin) }

func (p *player[Event, Effect]) play(words []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var d time.Duration
	switch words[0] {
	case "wait", "pause", "at":
		if len(words) < 2 {
			return fmt.Errorf("%q has no duration", words[0])
		}
		if d, err = time.ParseDuration(words[1]); err != nil {
			return err
		}
	}
	switch words[0] {
	case "wait":
		return p.wait(d)
	case "tick":
		if at := p.Deadline(); !at.IsZero() {
			p.tick(at)
		} else {
			fmt.Fprintln(&p.out, "    waits for nothing")
		}
		return nil
	case "at":
		p.clock.Now = p.clock.Begin.Add(d)
		if words = words[2:]; len(words) == 0 {
			return nil
		}
	case "pause":
		p.clock.Now = p.clock.Now.Add(d)
	}
	events, text, err := p.Command(&p.clock, words)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(&p.out, "    %s\n", strings.TrimSuffix(line, "\n"))
	}
	for _, ev := range events {
		p.step("", ev)
	}
	return nil
}

func (p *player[Event, Effect]) wait(d time.Duration) error {
	until := p.clock.Now.Add(d)
	for ticks := 0; ; ticks++ {
		at := p.Deadline()
		if at.IsZero() || at.After(until) {
			p.clock.Now = until
			return nil
		}
		if ticks == MaxTicks {
			return fmt.Errorf("after %d ticks the next deadline is %v after the beginning", ticks, at.Sub(p.clock.Begin))
		}
		p.tick(at)
	}
}

// tick tells the core that its deadline has come. The clock does not go back to a deadline that has passed.
func (p *player[Event, Effect]) tick(at time.Time) {
	if at.After(p.clock.Now) {
		p.clock.Now = at
	}
	p.step(p.since().String()+" ", p.Tick)
}

func (p *player[Event, Effect]) step(prefix string, ev Event) {
	effects, err := p.Step(p.clock.Now, ev)
	for _, e := range effects {
		fmt.Fprintf(&p.out, "    %s%s\n", prefix, p.Describe(e))
	}
	if err != nil {
		p.fail(err)
	}
}

// difference shows the first lines that differ, with what precedes and follows them.
func difference(want, got []byte) string {
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	from := max(0, i-3)
	return fmt.Sprintf("expected:\n%s\ngot:\n%s", strings.Join(w[from:min(len(w), i+8)], "\n"), strings.Join(g[from:min(len(g), i+8)], "\n"))
}
