package main

import (
	"net/http"
	"os"
	"sync/atomic"

	"github.com/tinehq/tine/worker"
)

// usersKey is the cached value that the service shows.
const usersKey = "usersCount"

type service struct {
	w     *worker.Worker
	pid   int
	value *worker.Value[string] // as it came: a number, or whatever the source gives
	users *users
	hangs atomic.Bool
}

func newService(w *worker.Worker, u *users) *service {
	return &service{w: w, pid: os.Getpid(), value: worker.Cached[string](w, usersKey), users: u}
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.index)
	mux.HandleFunc("POST /users", s.addUser)
	mux.HandleFunc("GET /cache", s.cache)
	mux.HandleFunc("/spin", s.spin)
	mux.HandleFunc("/slow", s.slow)
	mux.HandleFunc("GET /stream", s.stream)
	mux.HandleFunc("/upload", s.upload)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /ws", s.echo)
	mux.HandleFunc("/crash", s.crash)
	mux.HandleFunc("/panic", s.panic)
	mux.HandleFunc("/hang", s.hangForEver)
	return s.unlessHanging(mux)
}

// unlessHanging makes every request wait for ever once one has asked for it.
func (s *service) unlessHanging(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if s.hangs.Load() {
			select {}
		}
		next.ServeHTTP(rw, r)
	})
}
