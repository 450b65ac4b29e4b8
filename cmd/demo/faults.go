package main

import (
	"net/http"
	"os"
)

// crash ends the process without an answer.
func (s *service) crash(rw http.ResponseWriter, r *http.Request) {
	if code, ok := number(rw, r, "code", 1); ok {
		os.Exit(int(code))
	}
}

// panic ends the process as an unexpected nil pointer would. net/http catches the panics of handlers, so it happens
// beside one.
func (s *service) panic(rw http.ResponseWriter, r *http.Request) {
	go func() { panic("the demo was asked to panic") }()
	<-r.Context().Done()
}

// hangForEver makes this request and all that follow in this worker wait for ever.
func (s *service) hangForEver(rw http.ResponseWriter, r *http.Request) {
	s.hangs.Store(true)
	select {}
}
