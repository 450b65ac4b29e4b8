package master

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/proc"
)

const releaseConfig = `
name: test
log: {format: json, level: debug}
apps:
  web:
    command: [./current/server]
    dir: current
    env: {TEST_BEHAVIOUR: HOW, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 2
    standby: 1
    drain_delay: 300ms
    backoff: {base: 10ms, max: 50ms}
`

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// releaseIn makes a release of its own file, and returns which.
func releaseIn(t *testing.T, dir, name string) proc.FileID {
	t.Helper()
	path := filepath.Join(dir, "releases", name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, os.Args[0], path+"/server")
	id, err := proc.IDOf(path + "/server")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func turn(t *testing.T, dir, to string) {
	t.Helper()
	if err := os.Symlink("releases/"+to, dir+"/next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/next", dir+"/current"); err != nil {
		t.Fatal(err)
	}
}

// writeBroken puts a program that fails in the place of one, as a deploy does.
func writeBroken(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Whatever becomes of the disk, a worker that is started for another reason than a rollout is what its generation is: after
// a crash, a scale, from a standby, below a master that was brought back, and below an upgraded one.
func TestReleaseOutlivesTheDisk(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"Replaced": func(t *testing.T, dir string) { writeBroken(t, dir+"/releases/1/server") },
		"Removed":  func(t *testing.T, dir string) { os.Remove(dir + "/releases/1/server") },
		"Turned": func(t *testing.T, dir string) {
			os.Mkdir(dir+"/releases/2", 0o755)
			writeBroken(t, dir+"/releases/2/server")
			turn(t, dir, "2")
		},
		"FolderRemoved": func(t *testing.T, dir string) { os.RemoveAll(dir + "/releases/1") },
		"FolderReplaced": func(t *testing.T, dir string) {
			os.Rename(dir+"/releases/1", dir+"/releases/old")
			os.Mkdir(dir+"/releases/1", 0o755)
			writeBroken(t, dir+"/releases/1/server")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var first proc.FileID
			m := startKept(t, releaseConfig, func(dir string) {
				first = releaseIn(t, dir, "1")
				turn(t, dir, "1")
			})
			spoil(t, m.dir)
			if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err == nil {
				t.Fatal("a broken release was taken")
			}
			want := 2
			runsFirst := func(how string) api.Status {
				t.Helper()
				return m.await("the first release after "+how, func(st api.Status) bool {
					a := onlyApp(st)
					if a.Ready != want || len(a.Workers) != want || len(a.Standbys) != 1 || a.Standbys[0].PID == 0 || a.Generation != 1 {
						return false
					}
					return !slices.ContainsFunc(slices.Concat(a.Workers, a.Standbys), func(w api.Worker) bool {
						id, err := proc.IDOf("/proc/" + strconv.Itoa(w.PID) + "/exe")
						return err != nil || !id.Same(first) || w.Generation != 1
					})
				})
			}
			heal := func(how string) {
				t.Helper()
				st := runsFirst(how)
				for _, w := range slices.Concat(onlyApp(st).Workers, onlyApp(st).Standbys) { // so that more than the standby is needed
					_ = syscall.Kill(w.PID, syscall.SIGKILL)
				}
				was := pids(onlyApp(st))
				m.await("they are gone", func(st api.Status) bool {
					return !slices.ContainsFunc(pids(onlyApp(st)), func(pid int) bool { return slices.Contains(was, pid) })
				})
				runsFirst("healing " + how)
			}
			heal("an aborted reload")
			want = 3
			if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: want}); err != nil {
				t.Fatal(err)
			}
			m.crash(runsFirst("a scale"))
			heal("a crash of the master")
			m.upgrade(runsFirst("healing"), os.Args[0])
			heal("an upgrade")
			if err := m.keeper.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			heal("a SIGHUP that changes nothing")
			m.await("the log tells of it", func(api.Status) bool {
				return strings.Contains(m.log.String(), "what is on disk is not the release that runs") == (name != "Turned")
			})
			if err := m.do(api.Order{Verb: api.VerbRollback, App: "web"}); err == nil || !strings.Contains(err.Error(), "no release to go back to") {
				t.Errorf("a rollback to nothing: %v", err)
			}
		})
	}
}

// A rollback returns to the release before, though nothing of it is left on disk, also below another master; a second one
// goes forward; and a config that is applied for another reason leaves it.
func TestRollback(t *testing.T) {
	var first proc.FileID
	m := startKept(t, releaseConfig, func(dir string) {
		first = releaseIn(t, dir, "1")
		turn(t, dir, "1")
	})
	second := releaseIn(t, m.dir, "2")
	turn(t, m.dir, "2")
	do := func(verb string) {
		t.Helper()
		if err := m.do(api.Order{Verb: verb, App: "web"}); err != nil {
			t.Fatal(err)
		}
	}
	runs := func(what string, id proc.FileID) api.Status {
		t.Helper()
		return m.await(what, func(st api.Status) bool {
			a := onlyApp(st)
			return a.Ready == 2 && len(a.Workers) == 2 && (a.Rollout == nil || a.Rollout.State == api.RolloutAborted) && !slices.ContainsFunc(pids(onlyApp(st)), func(pid int) bool {
				got, err := proc.IDOf("/proc/" + strconv.Itoa(pid) + "/exe")
				return err != nil || !got.Same(id)
			})
		})
	}
	do(api.VerbReload)
	st := runs("the second release", second)
	if p := onlyApp(st).Previous; p == nil || p.Program != m.dir+"/releases/1/server" || p.Until == nil || p.Until.Before(p.Since) {
		t.Fatalf("the release before is told as %+v", p)
	}
	do(api.VerbReload) // by the same
	if err := os.RemoveAll(m.dir + "/releases"); err != nil {
		t.Fatal(err)
	}
	m.crash(runs("the second release", second))
	m.upgrade(runs("the second release", second), os.Args[0])
	do(api.VerbRollback)
	st = runs("the first release", first)
	if r := onlyApp(st).Release; r == nil || !r.Rollback || r.Program != m.dir+"/releases/1/server" {
		t.Errorf("the release is told as %+v", r)
	}
	m.configure(strings.Replace(releaseConfig, "drain_delay: 300ms", "drain_delay: 200ms", 1))
	if _, err := m.client.Apply(bounded(t), api.ApplyRequest{}); err != nil {
		t.Fatal(err)
	}
	m.crash(runs("the first release", first))
	runs("the first release, below another master", first)
	do(api.VerbRollback)
	runs("the second release again", second)
	do(api.VerbRollback)
	runs("the first release again", first)
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err == nil {
		t.Error("a reload from an empty disk went well")
	}
	runs("the first release still", first)
}
