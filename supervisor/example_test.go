package supervisor_test

import (
	"context"
	"errors"
	"log"
	"os"
	"time"

	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
)

// A program that is master and worker in one binary: started by a person it
// supervises copies of itself, started by a master it serves.
func Example() {
	if supervisor.IsWorker() {
		// Here package worker serves: worker.Start, then Serve.
		return
	}
	config := config.Single("web", []string{":7000"}, 4, supervisor.Self())
	err := supervisor.Run(context.Background(), config)
	var ended *supervisor.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.Code)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A master with a value that it makes itself and a method that its workers call.
func ExampleNew() {
	config := config.Single("web", []string{"127.0.0.1:7000"}, 0, []string{"./server"})
	config.Cache = []supervisor.CacheValue{{
		Key:   "time",
		Every: time.Second,
		Func:  func(context.Context) (any, error) { return time.Now().Unix(), nil },
	}}
	s, err := supervisor.New(config,
		supervisor.WithSignals(),
		supervisor.OnMessage(func(m supervisor.Message) { log.Printf("%s/%d says %s", m.App, m.Slot, m.Data) }),
		supervisor.OnCall("next", func(_ context.Context, from supervisor.Caller, _ []byte) (any, error) {
			return from.Worker + 1, nil
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		<-s.Ready()
		if _, err := s.Set("greeting", "hello"); err != nil {
			log.Print(err)
		}
	}()
	if err := s.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
