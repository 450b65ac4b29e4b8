package master

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/record"
)

// The steps of the new master of an upgrade, at which a test can hold it.
const (
	atReceived = "received" // it has the files, and has looked at none
	atReady    = "ready"    // it is certain that it can go on
)

// atStep does what the test wants of the new master at a step: a pipe of the step's name is opened, which waits for the test, and
// what comes over another is done.
func atStep(config, step string) error {
	in := filepath.Join(filepath.Dir(config), step)
	f, err := os.OpenFile(in+".here", os.O_WRONLY, 0)
	if err != nil {
		return nil // nobody waits for it
	}
	f.Close()
	word, err := os.ReadFile(in + ".do")
	switch {
	case err != nil:
		return err
	case string(word) == "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case string(word) == "refuse":
		return errors.New("the test says so")
	}
	return nil
}

// followed is the new master's word that it can go on.
func followed(u *handover.Upgrader, config string) error {
	if err := atStep(config, atReady); err != nil {
		return err
	}
	return u.Ready()
}

// hold has the next new master stop at a step. here waits until it does, do lets it go on.
func (m *keptMaster) hold(step string) (here func(), do func(word string)) {
	m.t.Helper()
	in := filepath.Join(m.dir, step)
	for _, name := range []string{in + ".here", in + ".do"} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	here = func() {
		m.t.Helper()
		if _, err := os.ReadFile(in + ".here"); err != nil {
			m.t.Fatal(err)
		}
		os.Remove(in + ".here") // the next one goes on
	}
	do = func(word string) {
		m.t.Helper()
		if err := os.WriteFile(in+".do", []byte(word), 0); err != nil {
			m.t.Fatal(err)
		}
		os.Remove(in + ".do")
	}
	return here, do
}

// beginUpgrade has the master start this very program as the next one.
func (m *keptMaster) beginUpgrade(old api.Status) {
	m.t.Helper()
	if err := os.WriteFile(m.dir+"/binary", []byte(os.Args[0]), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := syscall.Kill(old.PID, syscall.Signal(40)); err != nil {
		m.t.Fatal(err)
	}
}

// traces is what there is outside of the masters that a new one could change.
func (m *keptMaster) traces(old api.Status, files ...string) map[string]string {
	m.t.Helper()
	all := map[string]string{}
	f := recordOf(m.t, old.PID)
	r, err := record.Open(f)
	if err != nil {
		m.t.Fatal(err)
	}
	blob, err := r.Read()
	if err != nil {
		m.t.Fatal(err)
	}
	all["record"] = string(blob)
	for _, name := range append(files, m.dir) {
		filepath.Walk(name, func(path string, info os.FileInfo, err error) error {
			if err == nil && !strings.HasSuffix(path, ".here") && !strings.HasSuffix(path, ".do") {
				st := info.Sys().(*syscall.Stat_t)
				all["file "+path] = fmt.Sprint(st.Ino, info.Mode())
			}
			return nil
		})
	}
	all["kept"] = strings.Join(keptBy(m.keeper.Process.Pid), "\n")
	for _, pid := range allPIDs(old) {
		all[fmt.Sprint("worker ", pid)] = fmt.Sprint(isGone(pid))
	}
	return all
}

// keptBy are the descriptors of a keeper, but for those by which it watches masters.
func keptBy(pid int) (all []string) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range paths {
		if to, err := os.Readlink(path); err == nil && to != "anon_inode:[pidfd]" {
			all = append(all, to)
		}
	}
	slices.Sort(all)
	return all
}

// A new master that does not come to be in charge has changed nothing that the old one has: neither its record, nor what is
// stored, nor what workers hold, nor files. Whether it dies or refuses, all goes on as before.
func TestNewMasterChangesNothingBeforeItIsInCharge(t *testing.T) {
	for _, end := range []struct{ step, word string }{{atReceived, "die"}, {atReady, "die"}, {atReady, "refuse"}} {
		t.Run(end.step+"-"+end.word, func(t *testing.T) {
			m := startRescue(t)
			st := m.await("ready", func(st api.Status) bool { return len(st.Apps) == 2 && allAppsReady(st) })
			if _, err := m.client.SetValue(bounded(t), "key", []byte("value")); err != nil {
				t.Fatal(err)
			}
			before := allPIDs(st)
			loads := []func() (int, map[string]int){m.load(addressOf(st.Apps[0]), 2), m.load(addressOf(st.Apps[1]), 2)}
			received, proceed := m.hold(atReceived)
			m.beginUpgrade(st)
			received()
			traces := m.traces(st)
			if end.step == atReceived {
				proceed(end.word)
			} else {
				ready, then := m.hold(atReady)
				proceed("go on")
				ready()
				for what, now := range m.traces(st) {
					if now != traces[what] {
						t.Errorf("%s was\n%s\nis\n%s", what, traces[what], now)
					}
				}
				then(end.word)
			}
			m.await("the failure is told", func(api.Status) bool {
				return strings.Contains(m.log.String(), "upgrade failed, everything runs on")
			})
			now := m.await("the old master goes on", func(st api.Status) bool { return allAppsReady(st) })
			if now.PID != st.PID || !slices.Equal(allPIDs(now), before) {
				t.Errorf("master %d has %v, %d had %v", now.PID, allPIDs(now), st.PID, before)
			}
			now, _ = m.upgrade(now, os.Args[0])
			now = m.await("upgraded", func(st api.Status) bool { return st.PID == now.PID && allAppsReady(st) })
			if s := now.Succession; !slices.Equal(allPIDs(now), before) || s == nil || s.Adopted != len(before) || len(s.Replaced) > 0 || s.After != st.PID {
				t.Errorf("workers %v, had %v; %+v", allPIDs(now), before, s)
			}
			for _, end := range loads {
				if asked, lost := end(); len(lost) > 0 || asked == 0 {
					t.Errorf("lost of %d requests: %v", asked, lost)
				}
			}
		})
	}
}

// A record that the new master cannot use refuses the upgrade: the old one is there, and knows what it runs.
func TestUpgradeRefusedForTheRecord(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(spoilt)) {
		t.Run(name, func(t *testing.T) {
			m := startRescue(t)
			st := m.await("ready", func(st api.Status) bool { return len(st.Apps) == 2 && allAppsReady(st) })
			before := allPIDs(st)
			end := m.load(addressOf(st.Apps[0]), 2)
			received, proceed := m.hold(atReceived)
			m.beginUpgrade(st)
			received()
			spoilt[name](t, recordOf(t, st.PID))
			proceed("go on")
			m.await("the failure is told", func(api.Status) bool {
				return strings.Contains(m.log.String(), "upgrade failed, everything runs on")
			})
			now := m.await("the old master goes on", func(st api.Status) bool { return allAppsReady(st) })
			if now.PID != st.PID || !slices.Equal(allPIDs(now), before) {
				t.Errorf("master %d has %v, %d had %v", now.PID, allPIDs(now), st.PID, before)
			}
			if strings.Contains(m.log.String(), "cannot use the record of the last master") {
				t.Error("it has rescued what another one has")
			}
			// What the old one goes on to write is whole again.
			if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 2}); err != nil {
				t.Fatal(err)
			}
			now = m.await("scaled", func(st api.Status) bool { return allAppsReady(st) && len(st.Apps[0].Workers) == 2 })
			again, _ := m.crash(now)
			if !slices.Equal(allPIDs(again), allPIDs(now)) {
				t.Errorf("after a crash %v, had %v", allPIDs(again), allPIDs(now))
			}
			if asked, lost := end(); len(lost) > 0 || asked == 0 {
				t.Errorf("lost of %d requests: %v", asked, lost)
			}
		})
	}
}

// evilConfig has an app beside one that does what it can to what it shares.
const evilConfig = `
name: test
log: {format: json, level: debug}
apps:
  good:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: BEHAVIOUR, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 2
    drain_delay: 300ms
  odd:
    command: [PROGRAM]
    env: {TEST_EVIL: "EVIL HOW-evil", GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 1
    drain_delay: 100ms
    drain_timeout: 200ms
    kill_after: 200ms
    backoff: {max: 500ms}
`

// Whatever a worker does to what it shares with the master, and whether the master lives, is being upgraded or is dead by then:
// another app's workers are as they were, and every request to them is answered. The evil one's own app is well again once it
// is reloaded.
func TestEvilWorkerCostsNobodyElse(t *testing.T) {
	for _, how := range slices.Sorted(maps.Keys(evils)) {
		for _, during := range []string{"life", "upgrade", "crash"} {
			t.Run(how+"/"+during, func(t *testing.T) { evilDuring(t, how, during) })
		}
	}
}

func evilDuring(t *testing.T, how, during string) {
	m := makeKept(t)
	in := m.dir + "/behaviour-evil"
	for _, name := range []string{in + ".go", in + ".done"} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.start(strings.Replace(evilConfig, "EVIL HOW", how+" HOW", 1))
	st := m.await("ready", func(st api.Status) bool { return len(st.Apps) == 2 && allAppsReady(st) })
	good := pids(st.Apps[0])
	end := m.load(addressOf(st.Apps[0]), 4)
	act := func() {
		if err := os.WriteFile(in+".go", []byte("go"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadFile(in + ".done"); err != nil {
			t.Fatal(err)
		}
		os.Remove(in + ".go")
	}
	switch during {
	case "upgrade":
		received, proceed := m.hold(atReceived)
		m.beginUpgrade(st)
		received()
		act()
		proceed("go on")
	case "crash":
		freeze(t, st.PID)
		act()
		m.crash(st)
	default:
		act()
	}
	now := m.await("all are ready", func(now api.Status) bool {
		return (during == "life") == (now.PID == st.PID) && len(now.Apps) == 2 && allAppsReady(now)
	})
	if got := pids(now.Apps[0]); !slices.Equal(got, good) {
		t.Errorf("the workers of good are %v, were %v", got, good)
	}
	if err := m.do(api.Order{Verb: api.VerbReload, App: "odd"}); err != nil {
		t.Errorf("odd is not reloaded: %v", err)
	}
	if err := m.do(api.Order{Verb: api.VerbScale, App: "odd", N: 2}); err != nil {
		t.Errorf("odd is not scaled: %v", err)
	}
	for range 6 {
		askOnce(t, addressOf(now.Apps[1]))
	}
	now = m.await("all are well", func(now api.Status) bool { return allAppsReady(now) })
	if got := pids(now.Apps[0]); !slices.Equal(got, good) {
		t.Errorf("the workers of good are %v, were %v", got, good)
	}
	if asked, lost := end(); len(lost) > 0 || asked == 0 {
		t.Errorf("lost of %d requests to good: %v", asked, lost)
	}
	if crashed := strings.Count(m.log.String(), "panic"); crashed > 0 {
		t.Errorf("%d panics", crashed)
	}
}

func askOnce(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := client.Get("http://" + address)
	if err != nil {
		t.Error(err)
		return
	}
	r.Body.Close()
}
