package civil

import (
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// zones are those whose clocks were ever set in a way of their own: by half an hour, by two, by a whole day, at midnight,
// twice a year around a month of fasting, and not at all.
var zones = []string{
	"UTC", "Europe/Vienna", "Europe/Dublin", "America/New_York", "America/Havana", "America/Santiago", "America/Caracas",
	"America/St_Johns", "Australia/Lord_Howe", "Antarctica/Troll", "Antarctica/Casey", "Africa/Casablanca", "Asia/Beirut", "Asia/Gaza",
	"Asia/Pyongyang", "Asia/Kathmandu", "Asia/Tehran", "Atlantic/Azores", "Pacific/Apia", "Pacific/Kwajalein", "Pacific/Fakaofo",
}

// oracle is what a schedule means, said minute by minute: a fixed one is due in the first minute in which the clock has
// reached a local time that is named, a wild one whenever the clock shows one.
func oracle(s *Schedule, from time.Time, minutes int) (due []time.Time) {
	reading := func(t time.Time) time.Time {
		_, offset := t.In(s.zone).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	named := func(c time.Time) bool {
		return s.months.has(int(c.Month())) && s.namesDay(c) && s.hours.has(c.Hour()) && s.minutes.has(c.Minute())
	}
	shown := reading(from.Add(-maxShift))
	for t := from.Add(-maxShift); !t.After(from); t = t.Add(time.Minute) {
		if r := reading(t); r.After(shown) {
			shown = r
		}
	}
	for i := 1; i <= minutes; i++ {
		t := from.Add(time.Duration(i) * time.Minute)
		r := reading(t)
		if s.wild {
			if named(r) {
				due = append(due, t)
			}
			continue
		}
		some := false
		for ; shown.Before(r); shown = shown.Add(time.Minute) {
			some = some || named(shown.Add(time.Minute))
		}
		if some {
			due = append(due, t)
		}
	}
	return due
}

func checkAgainstOracle(t *testing.T, text string, zone *time.Location, from time.Time, days int) {
	t.Helper()
	s, err := Parse(text, zone)
	if err != nil {
		return
	}
	from = from.Truncate(time.Minute)
	want := oracle(s, from, days*24*60)
	at := from
	for i := 0; i <= len(want); i++ {
		at = s.Next(at)
		if i == len(want) {
			if !at.IsZero() && !at.After(from.AddDate(0, 0, days)) && at.Sub(from) <= time.Duration(days)*24*time.Hour {
				t.Fatalf("%q in %s from %s: due also at %s", text, zone, from, at)
			}
			return
		}
		if !at.Equal(want[i]) {
			t.Fatalf("%q in %s from %s: number %d at %s, want %s", text, zone, from.In(zone), i, at, want[i].In(zone))
		}
	}
}

// transitions are the moments around which a zone's clock is set, from 1975 on: since then by whole minutes.
func transitions(zone *time.Location) (all []time.Time) {
	t := time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC).In(zone)
	for len(all) < 200 {
		_, end := t.ZoneBounds()
		if end.IsZero() || end.Year() > 2037 {
			break
		}
		all = append(all, end)
		t = end
	}
	return append(all, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
}

// TestEveryTransition plays schedules over changes of each zone.
func TestEveryTransition(t *testing.T) {
	texts := []string{"30 2 * * *", "0 0 * * *", "0,30 1-3 * * *", "15 */6 * * *", "30 */2 * * *", "59 23 * * 0,7", "*/7 * * * *", "5 * * * *", "* 2 * * *", "0 0 1 * 1"}
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		all := transitions(zone)
		step := max(1, len(all)/12)
		for i := 0; i < len(all); i += step {
			for _, text := range texts {
				checkAgainstOracle(t, text, zone, all[i].Add(-26*time.Hour), 3)
			}
		}
	}
}

func FuzzNext(f *testing.F) {
	for i := range zones {
		f.Add(uint64(i), uint8(i), uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, seed uint64, zone uint8, change uint16) {
		z, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 1))
		all := transitions(z)
		from := all[int(change)%len(all)].Add(time.Duration(r.IntN(60*60)-55*60) * time.Minute)
		field := func(least, most int) string {
			n := least + r.IntN(most-least+1)
			switch r.IntN(6) {
			case 0, 1:
				return "*"
			case 2:
				return fmt.Sprintf("*/%d", 1+r.IntN(most))
			case 3:
				return fmt.Sprintf("%d-%d", n, n+r.IntN(most-n+1))
			}
			return fmt.Sprint(n)
		}
		text := strings.Join([]string{field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)}, " ")
		checkAgainstOracle(t, text, z, from, 2+r.IntN(3))
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"30 4 * * 1", "CRON_TZ=Europe/Vienna 0 3 * * sat-sun", "@every 90m", "@daily", "*/5 0-3/2 1,15 jan-mar 7", "0 0 31 2 *"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text, time.UTC)
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 1, 12, 0, 30, 5, time.UTC)
		if next := s.Next(now); next.IsZero() || !next.After(now) {
			t.Errorf("%q: after %s comes %s", text, now, next)
		}
	})
}

func TestParse(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]string{
		"0 0 * * 7":                         "2026-01-04 00:00:00",
		"0 0 * * 0":                         "2026-01-04 00:00:00",
		"0 0 * * sun":                       "2026-01-04 00:00:00",
		"0 0 * * SAT-SUN":                   "2026-01-03 00:00:00",
		"0 0 * * 6-7":                       "2026-01-03 00:00:00",
		"0 12 * * */2":                      "2026-01-03 12:00:00",
		"30 4 * feb,Mar *":                  "2026-02-01 04:30:00",
		"0 0 29 2 *":                        "2028-02-29 00:00:00",
		"0 0 13 * 5":                        "2026-01-02 00:00:00",
		"10/20 * * * *":                     "2026-01-01 12:10:00",
		"CRON_TZ=Europe/Vienna 30 4 * * *":  "2026-01-02 03:30:00",
		"TZ=America/New_York  0 9 * * 1-5":  "2026-01-01 14:00:00",
		"CRON_TZ=Asia/Kathmandu @daily":     "2026-01-01 18:15:00",
		"@hourly":                           "2026-01-01 13:00:00",
		"@every 90m":                        "2026-01-01 13:30:05",
		"  30  4  *  *  * ":                 "2026-01-02 04:30:00",
		"? ? ? ? ?":                         "2026-01-01 12:01:00",
		"CRON_TZ=Pacific/Apia 0 0 31 12 *":  "2026-12-30 11:00:00",
		"CRON_TZ=Europe/Dublin 0 0 1 jul *": "2026-06-30 23:00:00",
	} {
		s, err := Parse(text, time.UTC)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if next := s.Next(at("2026-01-01 12:00:05")); !next.Equal(at(want)) {
			t.Errorf("%q: %s, want %s", text, next.UTC(), want)
		}
	}
	for text, want := range map[string]string{
		"":                       "0 fields instead of 5",
		"0 0 * *":                "4 fields",
		"0 0 0 * * *":            "6 fields",
		"60 * * * *":             `"60" is not a minute: write 0 to 59`,
		"0 24 * * *":             `"24" is not an hour`,
		"0 0 * * 8":              `"8" is not a weekday: write 0 to 7, or a name such as mon`,
		"0 0 * * fri-mon":        "ends before it begins",
		"0 0 30 2 *":             "never comes",
		"*/0 * * * *":            "not a number from 1 on",
		"0x10 * * * *":           "is not a minute",
		"-1 * * * *":             "is not a minute",
		"1,,2 * * * *":           `"" is not a minute`,
		"@midday":                "is not known",
		"@every 90":              "whole number of seconds",
		"@every 1500ms":          "whole number of seconds",
		"@every -1m":             "whole number of seconds",
		"CRON_TZ=Europe/Vienna":  "nothing after",
		"CRON_TZ= 0 0 * * *":     "nothing after",
		"CRON_TZ=Mars 0 0 * * *": `no time zone "Mars"`,
		strings.Repeat("0", 300): "300 characters",
	} {
		if _, err := Parse(text, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestClock(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	type look struct {
		now string
		due bool
	}
	for name, c := range map[string]struct {
		text, start string
		looks       []look
		next        string
	}{
		"not yet":                  {"30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:29:59", false}}, "2026-01-01 04:30:00"},
		"once":                     {"30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:30:00", true}, {"2026-01-01 04:30:00", false}}, "2026-01-02 04:30:00"},
		"missed for days":          {"30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-07 12:00:00", true}, {"2026-01-07 12:00:01", false}}, "2026-01-08 04:30:00"},
		"set back a week":          {"30 4 * * *", "2026-01-07 12:00:00", []look{{"2026-01-01 01:00:00", false}}, "2026-01-01 04:30:00"},
		"set back an hour":         {"30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:30:00", true}, {"2026-01-01 03:30:00", false}, {"2026-01-01 04:30:00", false}}, "2026-01-02 04:30:00"},
		"set back before it":       {"30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 03:29:00", false}, {"2026-01-01 04:30:00", true}}, "2026-01-02 04:30:00"},
		"wild, corrected":          {"*/5 * * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:30:00", true}, {"2026-01-01 04:29:59", false}, {"2026-01-01 04:30:00", false}}, "2026-01-01 04:35:00"},
		"wild, set back an hour":   {"*/5 * * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:30:00", true}, {"2026-01-01 03:30:00", false}, {"2026-01-01 03:35:00", true}}, "2026-01-01 03:40:00"},
		"every":                    {"@every 90m", "2026-01-01 00:00:00", []look{{"2026-01-01 01:29:59", false}, {"2026-01-01 01:30:00", true}}, "2026-01-01 03:00:00"},
		"every, often asked":       {"@every 90m", "2026-01-01 00:00:00", []look{{"2026-01-01 00:30:00", false}, {"2026-01-01 01:00:00", false}}, "2026-01-01 01:30:00"},
		"every, set back":          {"@every 90m", "2026-01-01 05:00:00", []look{{"2026-01-01 06:00:00", false}, {"2026-01-01 05:00:00", false}}, "2026-01-01 05:30:00"},
		"summer time begins":       {"CRON_TZ=Europe/Vienna 30 2 * * *", "2026-03-28 12:00:00", []look{{"2026-03-29 00:59:00", false}, {"2026-03-29 01:00:00", true}, {"2026-03-29 01:30:00", false}}, "2026-03-30 00:30:00"},
		"summer time ends":         {"CRON_TZ=Europe/Vienna 30 2 * * *", "2026-10-24 12:00:00", []look{{"2026-10-25 00:30:00", true}, {"2026-10-25 01:30:00", false}}, "2026-10-26 01:30:00"},
		"summer time ends, hourly": {"CRON_TZ=Europe/Vienna 30 * * * *", "2026-10-25 00:00:00", []look{{"2026-10-25 00:30:00", true}, {"2026-10-25 01:30:00", true}}, "2026-10-25 02:30:00"},
	} {
		s, err := Parse(c.text, time.UTC)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		clock := NewClock(s, at(c.start))
		for _, l := range c.looks {
			if due := clock.Due(at(l.now)); due != l.due {
				t.Errorf("%s: at %s due is %v", name, l.now, due)
			}
		}
		last := at(c.looks[len(c.looks)-1].now)
		if !clock.Next().Equal(at(c.next)) {
			t.Errorf("%s: next %s, want %s", name, clock.Next(), c.next)
		}
		if w := clock.Wait(last, time.Minute); w <= 0 || w > time.Minute {
			t.Errorf("%s: waits %s", name, w)
		}
	}
}

// TestClockResumes: what fell between two masters is due once, what was due is not.
func TestClockResumes(t *testing.T) {
	s, err := Parse("30 4 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := NewClock(s, day.Add(4*time.Hour))
	after := NewClock(s, day.Add(5*time.Hour))
	after.Resume(before.Next())
	if now := day.Add(5*time.Hour + time.Second); !after.Due(now) || after.Due(now) || !after.Next().Equal(day.Add(28*time.Hour+30*time.Minute)) {
		t.Errorf("next %s", after.Next())
	}
	after.Resume(after.Next().Add(time.Hour)) // a later time is none of this schedule
	after.Resume(time.Time{})
	if !after.Next().Equal(day.Add(28*time.Hour + 30*time.Minute)) {
		t.Errorf("next %s", after.Next())
	}
}

// TestPure holds that nothing here acts, waits or looks at a clock.
func TestPure(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if !slices.Contains([]string{`"time"`, `"strings"`, `"errors"`, `"fmt"`}, i.Path.Value) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		for _, banned := range []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After(", "time.NewTimer"} {
			if strings.Contains(string(source), banned) {
				t.Errorf("%s says %q", name, banned)
			}
		}
	}
}
