package master

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/record"
)

// recordOf is the memory in which a master keeps the record.
func recordOf(t *testing.T, pid int) *os.File {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if to, _ := os.Readlink(path); strings.HasPrefix(to, "/memfd:tine state") {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		}
	}
	t.Fatalf("process %d has no record", pid)
	return nil
}

// spoil makes the record of a master unreadable for the next one, while it is stopped.
func spoil(t *testing.T, pid int, how func(t *testing.T, f *os.File)) {
	t.Helper()
	freeze(t, pid)
	how(t, recordOf(t, pid))
}

// The ways in which a record is spoiled.
var spoilt = map[string]func(t *testing.T, f *os.File){
	"Corrupted": func(t *testing.T, f *os.File) {
		info, err := f.Stat()
		if err == nil {
			_, err = f.WriteAt(make([]byte, info.Size()-64), 64)
		}
		if err != nil {
			t.Fatal(err)
		}
	},
	"Truncated": func(t *testing.T, f *os.File) {
		if err := f.Truncate(5); err != nil {
			t.Fatal(err)
		}
	},
	"Version": func(t *testing.T, f *os.File) {
		rewrite(t, f, func(text string) string { return strings.Replace(text, `"version":1`, `"version":999`, 1) })
	},
	"PoolVersion": func(t *testing.T, f *os.File) {
		rewrite(t, f, func(text string) string {
			before, after, _ := strings.Cut(text, `"pool":{"version":`)
			return before + `"pool":{"version":99` + after
		})
	},
	"NoJSON": func(t *testing.T, f *os.File) {
		rewrite(t, f, func(text string) string { return text[:len(text)/2] })
	},
}

func rewrite(t *testing.T, f *os.File, change func(string) string) {
	t.Helper()
	r, err := record.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	text := change(string(blob))
	if text == string(blob) {
		t.Fatalf("nothing is changed in %s", blob)
	}
	if err := r.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

const rescueConfig = `
name: test
log: {format: json, level: debug}
apps:
  web:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: BEHAVIOUR, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 3
    drain_delay: 300ms
  api:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: BEHAVIOUR, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0", "unix:DIR/api.sock"]
    workers: 1
    drain_delay: 300ms
`

func startRescue(t *testing.T) *keptMaster {
	t.Helper()
	dir, err := os.MkdirTemp("", "rescue") // short, for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return startKept(t, strings.ReplaceAll(rescueConfig, "DIR", dir))
}

// allPIDs are those of the workers of all apps.
func allPIDs(st api.Status) (all []int) {
	for _, a := range st.Apps {
		all = append(all, pids(a)...)
	}
	return all
}

// A record that cannot be used costs the workers, one by one, and no request: the sockets stay as they are.
func TestRecordIsLost(t *testing.T) {
	for name, how := range spoilt {
		t.Run(name, func(t *testing.T) {
			m := startRescue(t)
			st := m.await("ready", func(st api.Status) bool { return len(st.Apps) == 2 && allAppsReady(st) })
			before := allPIDs(st)
			listen := [][]string{st.Apps[0].Listen, st.Apps[1].Listen}
			ends := []func() (int, map[string]int){m.load(addressOf(st.Apps[0]), 4), m.load(addressOf(st.Apps[1]), 4)}
			spoil(t, st.PID, how)
			now, _ := m.crash(st)
			now = m.await("all are replaced", func(st api.Status) bool {
				return len(st.Apps) == 2 && allAppsReady(st) && !slices.ContainsFunc(allPIDs(st), func(pid int) bool { return slices.Contains(before, pid) })
			})
			for _, end := range ends {
				if asked, lost := end(); len(lost) > 0 || asked == 0 {
					t.Errorf("lost of %d requests: %v", asked, lost)
				}
			}
			if got := [][]string{now.Apps[0].Listen, now.Apps[1].Listen}; !slices.EqualFunc(got, listen, slices.Equal) {
				t.Errorf("it listens on %v, was %v", got, listen)
			}
			if n := strings.Count(m.log.String(), "cannot use the record of the last master"); n != 1 {
				t.Errorf("%d lines say what has happened, want 1", n)
			}
			for _, pid := range before {
				if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
					t.Errorf("worker %d is left", pid)
				}
			}
			// The record is good again.
			again, _ := m.crash(now)
			if !slices.Equal(allPIDs(again), allPIDs(now)) {
				t.Errorf("workers after the next crash are %v, were %v", allPIDs(again), allPIDs(now))
			}
		})
	}
}

// Workers that cannot be adopted, since they do not serve yet or do not answer, end; the rest goes on as above.
func TestRecordIsLostInARollout(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	m.behave("hang")
	go m.do(api.Order{Verb: api.VerbReload, App: "web"})
	st = m.await("a new worker starts", func(st api.Status) bool {
		return slices.ContainsFunc(onlyApp(st).Workers, func(w api.Worker) bool { return w.State == "starting" && w.PID != 0 })
	})
	all := pids(onlyApp(st))
	m.behave("")
	spoil(t, st.PID, spoilt["Corrupted"])
	m.crash(st)
	now := m.await("all are replaced", func(st api.Status) bool {
		return len(st.Apps) == 1 && allAppsReady(st) && !slices.ContainsFunc(pids(onlyApp(st)), func(pid int) bool { return slices.Contains(all, pid) })
	})
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
	for _, pid := range append(all, before...) {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("worker %d is left", pid)
		}
	}
	if n := onlyApp(now).Desired; n != 3 {
		t.Errorf("%d workers", n)
	}
}

// With the record the names in the config are changed too: whose workers these are nobody knows. They end, and all starts
// anew: on the old sockets, if the config says where they listen.
func TestRecordIsLostAndSoAreTheApps(t *testing.T) {
	for name, port := range map[string]bool{"SameAddress": true, "AnyPort": false} {
		t.Run(name, func(t *testing.T) {
			m := startKept(t, keptConfig)
			st := m.await("ready", allAppsReady)
			before, address := pids(onlyApp(st)), addressOf(onlyApp(st))
			config := strings.Replace(keptConfig, "web:", "other:", 1)
			if port {
				config = strings.Replace(config, "127.0.0.1:0", address, 1)
			}
			m.configure(config)
			end := m.load(address, 4)
			spoil(t, st.PID, spoilt["Corrupted"])
			m.crash(st)
			now := m.await("the other app is ready", func(st api.Status) bool { return allAppsReady(st) && onlyApp(st).Name == "other" })
			// What a worker has accepted last, that ends and has no successor, may be cut.
			asked, lost := end()
			t.Logf("lost of %d requests: %v", asked, lost)
			if got := addressOf(onlyApp(now)); (got == address) != port {
				t.Errorf("it listens on %s, the last one did on %s", got, address)
			}
			m.await("the old workers end", func(api.Status) bool {
				return !slices.ContainsFunc(before, func(pid int) bool { _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); return err == nil })
			})
			m.crash(now)
			m.await("it is adopted", func(st api.Status) bool {
				return allAppsReady(st) && slices.Equal(pids(onlyApp(st)), pids(onlyApp(now)))
			})
		})
	}
}
