package master

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/worker"
	"go.uber.org/goleak"
)

// children are what else this program may be, by the environment variable that says so, whose value they get.
var children = map[string]func(string){}

// TestMain is a worker too, where a master of these tests has started it.
func TestMain(m *testing.M) {
	for name, run := range children {
		if value := os.Getenv(name); value != "" {
			run(value)
			return
		}
	}
	if os.Getenv(ipc.EnvChannel) != "" {
		serveAsWorker()
		return
	}
	if config := os.Getenv("TEST_KEPT_MASTER"); config != "" {
		os.Exit(runKept(config))
	}
	goleak.VerifyTestMain(m)
}

// useTickets is what a gateway does with the tickets of an app: it reserves a row in slot 0, if that is asked for, and says how many are
// taken there; -1: it has no tickets of the app.
func useTickets(w *worker.Worker, rw http.ResponseWriter, r *http.Request, app string) {
	b := w.Tickets(app)
	if b == nil {
		fmt.Fprint(rw, -1)
		return
	}
	if r.URL.Query().Has("reserve") {
		b.Slot(0).Reserve(tickets.OwnerOf(uint64(os.Getpid())), 4)
	}
	fmt.Fprint(rw, b.Slot(0).Taken(4))
}

// countAloud prints numbered lines until it is told to stop, and then which was the last.
func countAloud() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			fmt.Printf("number %d\n", n)
			select {
			case <-done:
				fmt.Printf("last number %d of %d\n", n, os.Getpid())
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// serveAsWorker does what the tests want of a worker: TEST_BEHAVIOUR is a file that says what.
func serveAsWorker() {
	behaviour, _ := os.ReadFile(os.Getenv("TEST_BEHAVIOUR"))
	switch string(behaviour) {
	case "fail":
		fmt.Println("first words")
		fmt.Fprintln(os.Stderr, "cannot open the database: no such file")
		os.Exit(3)
	case "hang":
		fmt.Fprintln(os.Stderr, "waiting for the database")
		time.Sleep(time.Minute)
	}
	w, err := worker.Start(workerMetrics()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if string(behaviour) == "count" {
		defer countAloud()()
	}
	w.Handle("echo", func(_ context.Context, in []byte) (any, error) { return in, nil })
	err = w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		jobs.Add(1)
		if app := r.URL.Query().Get("tickets"); app != "" {
			useTickets(w, rw, r, app)
			return
		}
		if d, err := time.ParseDuration(r.URL.Query().Get("sleep")); err == nil {
			time.Sleep(d)
		}
		if code, err := strconv.Atoi(r.URL.Query().Get("code")); err == nil {
			rw.WriteHeader(code)
		}
		fmt.Fprint(rw, os.Getpid())
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
