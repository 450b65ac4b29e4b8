package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/tinehq/tine/worker"
)

// events sends the value on each change, as server-sent events, until the client goes or the worker drains: then the
// client is told and reconnects to another worker.
func (s *service) events(rw http.ResponseWriter, r *http.Request) {
	changed := make(chan struct{}, 1)
	stop := s.w.Watch(usersKey, func(worker.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(rw)
	fmt.Fprintf(rw, ": process %d\nretry: 100\n\n", s.pid)
	for {
		if c.Flush() != nil {
			return
		}
		select {
		case <-changed:
			if v, ok := s.value.Get(); ok {
				fmt.Fprintf(rw, "id: %d\ndata: %s\n\n", s.value.Info().Epoch, v)
			}
		case <-s.w.Draining():
			fmt.Fprint(rw, "event: bye\ndata: draining\n\n")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// echo is a WebSocket that says everything again. When the worker drains it is closed with "going away".
func (s *service) echo(rw http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			kind, data, err := c.Read(ctx)
			if err == nil {
				err = c.Write(ctx, kind, data)
			}
			cancel()
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-s.w.Draining():
		// Close waits a few seconds for the client's answer, which is within any drain's time.
		_ = c.Close(websocket.StatusGoingAway, "draining")
		<-ended
	}
}
