package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/tinehq/tine/supervisor/control"
)

var updateTop = flag.Bool("update-top", false, "write the golden screens of tine top anew")

// busyTop is a stage with a minute of load behind it, a log and an event.
func busyTop(t *testing.T, width, height int) *topStage {
	st := shopStatus()
	s := newTopStage(t, st, width, height)
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
		s.m.say(logText(s.m.screen, control.LogLine{App: "web", Slot: &slot, Stream: "stdout", Text: fmt.Sprintf("request %d took 3ms", i)}, false))
	}
	s.m.event = control.Event{ID: 77, Time: time.Date(2026, 1, 2, 15, 4, 5, 6e6, time.Local), Level: "warn", Kind: "exited", App: "web", Slot: &slot, PID: 4713, Signal: "SIGSEGV", LastWords: "oh\n"}
	return s
}

func TestTopScreens(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		prepare       func(*topStage)
	}{
		{"80x24", 80, 24, func(s *topStage) { s.keys("j", "j") }},
		{"160x40", 160, 40, func(s *topStage) { s.keys("j") }},
		{"40x12", 40, 12, func(s *topStage) { s.keys("s", "6") }},
		{"log", 80, 24, func(s *topStage) { s.keys("tab", "up", "up") }},
		{"help", 80, 24, func(s *topStage) { s.keys("?") }},
		{"gave_up", 80, 24, func(s *topStage) { s.keys("end", "a") }},
		{"wide_names", 80, 16, func(s *topStage) {
			st := shopStatus()
			st.Name = "店"
			st.Apps[0].Name = "日本語のとても長いアプリ名です"
			st.Apps[1].Name = "e\u0301te\u0301\x1b[2J"
			s.m.keep(st)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := busyTop(t, c.width, c.height)
			c.prepare(s)
			got := s.screen() + "\n"
			path := filepath.Join("testdata", "top", c.name+".txt")
			if *updateTop {
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

// TestTopAnySize: each screen is as large as the terminal at most, and the question is
// on it.
func TestTopAnySize(t *testing.T) {
	t.Parallel()
	s := busyTop(t, 80, 24)
	s.m.screen.colours = true
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

func TestTopScrolls(t *testing.T) {
	st := control.Status{PID: 1, Name: "many", Apps: []control.App{{Name: "web", State: control.AppRunning, Desired: 64, Ready: 64}}}
	for i := range 64 {
		st.Apps[0].Workers = append(st.Apps[0].Workers, control.Worker{Slot: i, ID: uint64(i + 1), PID: 5000 + i, State: "ready"})
	}
	s := newTopStage(t, st, 80, 24)
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

func BenchmarkTopView(b *testing.B) {
	st := control.Status{PID: 1, Name: "many", Apps: []control.App{{Name: "web", State: control.AppRunning}}}
	for i := range 64 {
		st.Apps[0].Workers = append(st.Apps[0].Workers, control.Worker{Slot: i, ID: uint64(i + 1), PID: 5000 + i, State: "ready"})
	}
	m := newTopModel(b.Context(), nil, "", true)
	m.width, m.height = 160, 80
	for b.Loop() {
		st.UptimeS++
		m.keep(st)
		m.View()
	}
}
