package top

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

var update = flag.Bool("update-top", false, "write the golden screens of tine top anew")

// busy is a stage with a minute of load behind it, a log and an event.
func busy(t *testing.T, width, height int) *stage {
	st := shopStatus()
	s := newStage(t, st, width, height)
	for i := range 60 {
		st = shopStatus()
		st.UptimeS = 101 + float64(i)
		st.Apps[0].Workers[0].Requests += uint64(i * i)
		st.Apps[0].Workers[1].Requests += uint64(20 * i)
		st.Apps[0].Workers[1].Errors += uint64(3 * i)
		s.m.keep(st)
	}
	slot := 2
	for i := range 30 {
		s.m.say(term.LogText(s.m.screen, api.LogLine{App: "web", Slot: &slot, Stream: "stdout", Text: fmt.Sprintf("request %d took 3ms", i)}, false))
	}
	s.m.event = api.Event{ID: 77, Time: time.Date(2026, 1, 2, 15, 4, 5, 6e6, time.Local), Level: "warn", Kind: "exited", App: "web", Slot: &slot, PID: 4713, Signal: "SIGSEGV", LastWords: "oh\n"}
	return s
}

func TestScreens(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		prepare       func(*stage)
	}{
		{"80x24", 80, 24, func(s *stage) { s.keys("j", "j") }},
		{"160x40", 160, 40, func(s *stage) { s.keys("j") }},
		{"40x12", 40, 12, func(s *stage) { s.keys("s", "6") }},
		{"log", 80, 24, func(s *stage) { s.keys("tab", "up", "up") }},
		{"help", 80, 24, func(s *stage) { s.keys("?") }},
		{"gave_up", 80, 24, func(s *stage) { s.keys("end", "a") }},
		{"gateway", 160, 16, func(s *stage) { s.withGateway() }},
		{"members", 80, 16, func(s *stage) { s.withGateway(); s.keys("m") }},
		{"members_160", 160, 12, func(s *stage) { s.withGateway(); s.keys("m", "down") }},
		{"members_40", 40, 12, func(s *stage) { s.withGateway(); s.keys("m") }},
		{"wide_names", 80, 16, func(s *stage) {
			st := shopStatus()
			st.Name = "店"
			st.Apps[0].Name = "日本語のとても長いアプリ名です"
			st.Apps[1].Name = "e\u0301te\u0301\x1b[2J"
			s.m.keep(st)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := busy(t, c.width, c.height)
			c.prepare(s)
			got := s.screen() + "\n"
			path := filepath.Join("testdata", c.name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the screen is\n%swant\n%s", got, want)
			}
			if strings.Contains(got, "\x1b") {
				t.Errorf("an escape sequence without colours: %q", got)
			}
		})
	}
}

// TestAnySize: each screen is as large as the terminal at most, and the question is
// on it.
func TestAnySize(t *testing.T) {
	t.Parallel()
	s := busy(t, 80, 24)
	s.m.screen.Colours = true
	s.keys("r")
	for _, inLog := range []bool{false, true} {
		s.m.inLog = inLog
		for width := 1; width < 130; width += 3 {
			for height := 1; height < 40; height++ {
				s.send(tea.WindowSizeMsg{Width: width, Height: height})
				s.screen()
				if width > 30 && !strings.Contains(s.foot(), "reload all workers of web?") {
					t.Fatalf("%dx%d: the question is not there:\n%s", width, height, s.screen())
				}
			}
		}
	}
	s.send(tea.WindowSizeMsg{})
	s.m.View() // no size: no panic
}

func TestScrolls(t *testing.T) {
	st := api.Status{PID: 1, Name: "many", Apps: []api.App{{Name: "web", State: api.AppRunning, Desired: 64, Ready: 64}}}
	for i := range 64 {
		st.Apps[0].Workers = append(st.Apps[0].Workers, api.Worker{Slot: i, ID: uint64(i + 1), PID: 5000 + i, State: "ready"})
	}
	s := newStage(t, st, 80, 24)
	for i := range 64 {
		s.keys("j")
		s.shows(fmt.Sprintf(">  %d %d ", i, 5000+i))
	}
	s.keys("j", "home")
	s.shows(">web          64/64 ready")
	s.keys("end")
	s.shows(">  63 5063")
	s.keys("pgup", "pgup")
	s.send(tea.WindowSizeMsg{Width: 80, Height: 10})
	row, _ := s.m.selected()
	s.shows(fmt.Sprintf(">  %d ", row.worker.Slot))
	s.send(tea.WindowSizeMsg{Width: 80, Height: 100})
	s.shows(">", "63 5063")
}

func BenchmarkView(b *testing.B) {
	st := api.Status{PID: 1, Name: "many", Apps: []api.App{{Name: "web", State: api.AppRunning}}}
	for i := range 64 {
		st.Apps[0].Workers = append(st.Apps[0].Workers, api.Worker{Slot: i, ID: uint64(i + 1), PID: 5000 + i, State: "ready"})
	}
	m := newModel(b.Context(), nil, allOf, true)
	m.width, m.height = 160, 80
	for b.Loop() {
		st.UptimeS++
		m.keep(st)
		m.View()
	}
}
