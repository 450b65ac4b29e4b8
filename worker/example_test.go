package worker_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tinehq/tine/worker"
)

// The whole of a service. Under a master the socket, the values and the order to stop come from there.
func Example() {
	w, err := worker.Start(worker.WithListen("127.0.0.1:0"))
	if err != nil {
		log.Fatal(err)
	}
	users := worker.Cached[int](w, "usersCount")
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%d users", users.Or(0))
	})

	// What happens from outside in a service that runs alone: the value is set, a client asks, the service is stopped.
	lns, _ := w.Listeners()
	go func() {
		w.Publish(context.Background(), "usersCount", 50)
		res, err := http.Get("http://" + lns[0].Addr().String())
		if err == nil {
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			fmt.Println(string(b))
		}
		w.Leave("the example is over")
	}()

	if err := w.Serve(handler); err != nil { // nil after a drain
		log.Fatal(err)
	}
	fmt.Println("drained")
	// Output:
	// 50 users
	// drained
}

func start() *worker.Worker {
	w, err := worker.Start(worker.WithListen("127.0.0.1:0"), worker.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	return w
}

func ExampleCached() {
	w := start()
	defer w.Close()
	type limits struct{ Rate, Burst int }
	v := worker.Cached[limits](w, "limits") // once, at the start

	_, ok := v.Get()
	fmt.Println("before the first:", ok)
	w.Publish(context.Background(), "limits", limits{Rate: 10, Burst: 20})
	l, ok := v.Get()
	fmt.Println(l.Rate, l.Burst, ok, "epoch", v.Info().Epoch)

	w.Publish(context.Background(), "limits", "no limits at all")
	l, _ = v.Get()
	fmt.Println("still", l.Rate, "because of an error:", v.Err() != nil)
	// Output:
	// before the first: false
	// 10 20 true epoch 1
	// still 10 because of an error: true
}

func ExampleBlob() {
	w := start()
	defer w.Close()
	table := worker.Cached[worker.Blob](w, "table")
	w.Publish(context.Background(), "table", make([]byte, 1<<20))

	b, _ := table.Get() // keep b as long as its bytes are in use
	data, err := b.Bytes()
	fmt.Println(len(data), err)
	// Output: 1048576 <nil>
}

func ExampleWorker_Watch() {
	w := start()
	defer w.Close()
	changes := make(chan int)
	stop := w.Watch("n", func(c worker.Change) {
		var n int
		if c.Decode(&n) == nil {
			changes <- n
		}
	})
	defer stop()
	w.Publish(context.Background(), "n", 1)
	fmt.Println(<-changes)
	w.Publish(context.Background(), "n", 2)
	fmt.Println(<-changes)
	// Output:
	// 1
	// 2
}

func ExampleWorker_Call() {
	w := start()
	defer w.Close()
	// Alone, a call is answered by the worker's own handler; under a master, by the master's.
	w.Handle("double", func(ctx context.Context, in []byte) (any, error) {
		return string(in) + string(in), nil
	})
	var out string
	err := w.Call(context.Background(), "double", "ab", &out)
	fmt.Println(out, err)
	// Output: abab <nil>
}

func ExampleWorker_OnMessage() {
	w := start()
	defer w.Close()
	w.OnMessage(func(m worker.Message) { fmt.Println(m.Topic, string(m.Data)) })
	fmt.Println(w.Send("hello", "master"))
	// Output: cannot send message "hello": worker stands alone: there is no master
}

// A protocol of one's own: accept until the worker closes the listener, and finish in OnDrain.
func ExampleWorker_Listener() {
	w := start()
	ln, err := w.Listener()
	if err != nil {
		log.Fatal(err)
	}
	accepted := make(chan net.Conn, 16)
	w.OnDrain(func(ctx context.Context) {
		for c := range accepted {
			io.WriteString(c, "bye\n")
			c.Close()
		}
		fmt.Println("all connections are finished")
	})
	go func() {
		defer close(accepted)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	w.Leave("the example is over") // or the master's order, or SIGTERM
	w.Wait()
	// Output: all connections are finished
}

func ExampleWorker_ServeServer() {
	w := start()
	lns, err := w.Listeners()
	if err != nil {
		log.Fatal(err)
	}
	go w.Leave("the example is over") // or the master's order, or SIGTERM
	err = w.ServeServer(&http.Server{
		Handler:           http.NotFoundHandler(),
		ReadHeaderTimeout: 5 * time.Second,
	}, lns...)
	fmt.Println(err)
	// Output: <nil>
}
