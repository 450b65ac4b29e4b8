package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/proc"
)

func newTestLogs(t *testing.T, c config.Log, out io.Writer, apps ...config.App) *Logs {
	t.Helper()
	l, err := Open(c, out, out, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := l.SetApps(apps, true); err != nil {
		t.Fatal(err)
	}
	return l
}

// printer is a worker's stream of an app.
func (l *Logs) printer(app string, slot int) func(line []byte, more bool) {
	var prefix atomic.Pointer[Prefix]
	prefix.Store(NewPrefix(app, slot, uint64(slot+1), 100+slot, api.StreamStdout))
	return l.Output(&prefix)
}

func TestAppsHaveFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var out syncBuffer
	apps := []config.App{
		{Name: "web", Log: config.AppLog{File: file("web.log")}},
		{Name: "job", Log: config.AppLog{File: file("shared.log")}},
		{Name: "cron", Log: config.AppLog{File: file("shared.log")}},
		{Name: "db"},
	}
	l := newTestLogs(t, config.Log{Format: "text"}, &out, apps...)
	for _, a := range apps {
		l.printer(a.Name, 0)([]byte("hello"), false)
	}
	waitForContent(t, file("web.log"), "web/0[100] hello\n")
	waitForContent(t, file("shared.log"), "job/0[100] hello\n")
	waitForContent(t, file("shared.log"), "cron/0[100] hello\n")

	// While lines come, a file changes, and an app goes.
	write := l.printer("web", 1)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	n := 0
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				n++
				write(fmt.Appendf(nil, "line %d.", n), false)
			}
		}
	})
	for i := range 10 {
		apps[0].Log.File = file(fmt.Sprint("web", i%3, ".log"))
		if err := l.SetApps(apps[:1], false); err != nil {
			t.Fatal(err)
		}
		waitForContent(t, apps[0].Log.File, "line ")
	}
	close(stop)
	writing.Wait()
	if files, err := l.Reopen(); files != 1 || err != nil {
		t.Errorf("reopened %d files, %v", files, err)
	}
	l.Close()
	var all []byte
	names, _ := filepath.Glob(file("web*.log"))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		all = append(all, text...)
	}
	for i := 1; i <= n; i++ {
		if line := fmt.Appendf(nil, "web/1[101] line %d.\n", i); bytes.Count(all, line) != 1 {
			t.Fatalf("line %d of %d is there %d times", i, n, bytes.Count(all, line))
		}
	}
	if got := out.String(); got != "db/0[100] hello\n" {
		t.Errorf("the master's log has %q", got)
	}
}

func TestAppFileThatCannotBeOpened(t *testing.T) {
	apps := []config.App{{Name: "web", Log: config.AppLog{File: filepath.Join(writeFile(t, ""), "web.log")}}}
	var out syncBuffer
	l := newTestLogs(t, config.Log{Format: "json"}, &out)
	if err := l.SetApps(apps, true); err == nil || !strings.Contains(err.Error(), "app web: cannot open the log file") {
		t.Errorf("got %v", err)
	}
	if err := l.SetApps(apps, false); err != nil {
		t.Fatal(err)
	}
	l.printer("web", 0)([]byte("hello"), false)
	out.wait(t, "log file takes no lines")
	// When it can, that is said, there and here.
	if err := os.Remove(filepath.Dir(apps[0].Log.File)); err != nil {
		t.Fatal(err)
	}
	l.printer("web", 0)([]byte("again"), false)
	waitForContent(t, apps[0].Log.File, `"message":"again"`)
	waitForContent(t, apps[0].Log.File, `"lines":1,`)
	out.wait(t, "log file takes lines again")
}

// A destination that takes nothing: with drop no worker waits, and the dropped lines are counted and logged; with block the
// worker waits and nothing is lost.
func TestOnFull(t *testing.T) {
	for _, onFull := range []string{config.OnFullDrop, config.OnFullBlock} {
		t.Run(onFull, func(t *testing.T) {
			g := &gate{open: make(chan struct{})}
			var out syncBuffer
			l, err := Open(config.Log{Format: "text"}, g, &out, true)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.SetApps([]config.App{{Name: "web", Log: config.AppLog{OnFull: onFull}}}, true); err != nil {
				t.Fatal(err)
			}
			const n = 3000
			line := bytes.Repeat([]byte("x"), 1000)
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				write := l.printer("web", 0)
				for range n {
					write(line, false)
				}
			}()
			if onFull == config.OnFullDrop {
				<-wrote
				out.wait(t, "output of workers dropped")
			} else {
				select {
				case <-wrote:
					t.Fatal("3 MB were written past a destination that took nothing")
				case <-time.After(50 * time.Millisecond):
				}
			}
			close(g.open)
			<-wrote
			l.Close()
			kept, dropped := strings.Count(g.String(), "] xxx"), int(l.app("web").dropped.Load())
			if kept+dropped != n || (dropped > 0) != (onFull == config.OnFullDrop) {
				t.Errorf("%d lines written and %d dropped, of %d", kept, dropped, n)
			}
			said := 0 // at each gap: there are two where the first lines were dropped before any was written
			for _, m := range regexp.MustCompile(`(\d+) log lines lost`).FindAllStringSubmatch(g.String(), -1) {
				lost, _ := strconv.Atoi(m[1])
				said += lost
			}
			if said != dropped {
				t.Errorf("the log speaks of %d lost lines, %d were dropped", said, dropped)
			}
		})
	}
}

// Whatever a worker prints, and however much, memory stays; and all of it arrives.
func TestLogsUnderPressure(t *testing.T) {
	counted := &counter{}
	l := newTestLogs(t, config.Log{Format: "json"}, counted, config.App{Name: "web"})
	for _, c := range []struct {
		name, script string
		size, lines  int64 // that it prints, without newlines; 0: who knows
	}{
		{"30 MB of lines", "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 | head -c 30000000", 30000000 - 297029, 297030},
		{"lines of 1 MB", "i=0; while [ $i -lt 20 ]; do head -c 1000000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done", 20000000, 20},
		{"a line without end", "head -c 20000000 /dev/zero", 20000000, 1},
		{"rubbish", "head -c 20000000 /dev/urandom", 0, 0},
		{"empty lines", "yes '' | head -c 300000", 0, 300000},
	} {
		t.Run(c.name, func(t *testing.T) {
			counted.reset()
			command, err := proc.Resolve(proc.Spec{Command: []string{"/bin/sh", "-c", c.script}, Env: []string{"PATH=" + os.Getenv("PATH")}})
			if err != nil {
				t.Fatal(err)
			}
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			at := time.Now()
			var read, lines atomic.Int64
			write := l.printer("web", 0)
			p, err := proc.Start(command, proc.Options{Stdout: func(line []byte, more bool) {
				write(line, more)
				if read.Add(int64(len(line))); !more {
					lines.Add(1)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			most := uint64(0)
			for ended := false; !ended; {
				select {
				case <-p.OutputDone():
					ended = true
				case <-time.After(20 * time.Millisecond):
				}
				runtime.ReadMemStats(&now)
				most = max(most, now.Sys-now.HeapReleased)
			}
			// A pump that is that slow, here of the race detector, goes on after it.
			eventually.NoError(t, "all is read", func() error {
				if read.Load() < c.size || lines.Load() < c.lines {
					return fmt.Errorf("%d bytes in %d lines, want %d in %d", read.Load(), lines.Load(), c.size, c.lines)
				}
				return nil
			})
			took := time.Since(at)
			grown := int64(most) - int64(before.Sys-before.HeapReleased)
			t.Logf("%.0f MB in %s (%.0f MB/s), memory grew by %.1f MB", float64(read.Load())/1e6, took.Round(time.Millisecond), float64(read.Load())/1e6/took.Seconds(), float64(grown)/(1<<20))
			if grown > 16<<20 {
				t.Errorf("memory grew by %d bytes", grown)
			}
		})
	}
	if n := len(asked(t, l.Book, api.LogQuery{App: "web"})); n == 0 || n > book.MaxLines {
		t.Errorf("%d lines are kept", n)
	}
}

// What a worker that is killed has printed before is read to the end.
func TestNothingOfAKilledWorkerIsLost(t *testing.T) {
	var out syncBuffer
	l := newTestLogs(t, config.Log{Format: "text"}, &out, config.App{Name: "web"})
	command, err := proc.Resolve(proc.Spec{Command: []string{"/bin/sh", "-c", "seq 1 10000; kill -9 $$"}, Env: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start(command, proc.Options{Stdout: l.printer("web", 0)})
	if err != nil {
		t.Fatal(err)
	}
	<-p.OutputDone()
	// On a busy machine it may have taken longer than OutputGrace, and the rest comes after it.
	eventually.True(t, "10,000 lines are kept", func() bool { return len(asked(t, l.Book, api.LogQuery{App: "web"})) >= 10000 })
	if e := p.Exit(); !strings.HasSuffix(e.LastLines, "\n9999\n10000") || strings.Count(e.LastLines, "\n") != 19 || e.LastLine != "10000" {
		t.Errorf("%+v", e)
	}
	got := asked(t, l.Book, api.LogQuery{App: "web"})
	if len(got) != 10000 || got[9999] != "web:10000" {
		t.Errorf("%d lines are kept", len(got))
	}
	l.Close()
	if n := strings.Count(out.String(), "\n"); n != 10000 {
		t.Errorf("%d lines were written", n)
	}
}

// TestFollowLag measures the time from the write of a worker to a reader that follows: for a worker that prints now and then,
// and for one that prints 1,000 lines a second, whose lines gather.
func TestFollowLag(t *testing.T) {
	l := newTestLogs(t, config.Log{Format: "text"}, io.Discard, config.App{Name: "web"})
	lag := make(chan time.Duration, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	reading.Go(func() {
		_ = l.Book.Query(ctx, api.LogQuery{App: "web", Last: -1, Follow: true}, func(line api.LogLine) error {
			var at int64
			if n, _ := fmt.Sscan(line.Text, &at); n == 1 {
				lag <- time.Since(time.Unix(0, at))
			}
			return nil
		})
	})
	for _, every := range []time.Duration{50 * time.Millisecond, time.Millisecond} {
		lines := min(int(time.Second/every), 500)
		command, err := proc.Resolve(proc.Spec{Command: []string{"/bin/cat"}, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH")}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(command.Dir, "pipe")
		in := namedPipe(t, path)
		command.Args = []string{"cat", path}
		p, err := proc.Start(command, proc.Options{Stdout: l.printer("web", 0)})
		if err != nil {
			t.Fatal(err)
		}
		w := in()
		var all []time.Duration
		tick := time.NewTicker(every)
		for range lines {
			<-tick.C
			fmt.Fprintln(w, time.Now().UnixNano())
		}
		tick.Stop()
		w.Close()
		for range lines {
			select {
			case d := <-lag:
				all = append(all, d)
			case <-time.After(10 * time.Second):
				t.Fatal("a line did not come")
			}
		}
		<-p.OutputDone()
		slices.Sort(all)
		t.Logf("a line each %s: median %s, 99 %% within %s, most %s", every, all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
		if all[len(all)/2] > 50*time.Millisecond {
			t.Errorf("half of the lines came after more than 50 ms")
		}
	}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *syncBuffer) wait(t *testing.T, text string) {
	t.Helper()
	eventually.NoError(t, "the text is written", func() error {
		if all := b.String(); !strings.Contains(all, text) {
			return fmt.Errorf("no %q in %q", text, all)
		}
		return nil
	})
}

// counter takes everything and keeps nothing.
type counter struct{ bytes atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

func (c *counter) reset() { c.bytes.Store(0) }

// namedPipe makes one, and returns what opens its end to write to.
func namedPipe(t *testing.T, path string) func() *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() *os.File {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// asked returns what a query finds, as app:text.
func asked(t *testing.T, b *book.Lines, q api.LogQuery) (all []string) {
	t.Helper()
	if err := b.Query(t.Context(), q, func(l api.LogLine) error {
		all = append(all, l.App+":"+l.Text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
