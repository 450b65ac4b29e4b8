package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

func (s *service) index(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v, ok := s.value.Get()
	if !ok {
		v = "none"
	}
	fmt.Fprintf(rw, "Handled by process %d.", s.pid)
	fmt.Fprintf(rw, "Cached value: %s", v)
}

func (s *service) addUser(rw http.ResponseWriter, r *http.Request) {
	if s.users.path == "" {
		http.Error(rw, "started without -db", http.StatusServiceUnavailable)
		return
	}
	name := cmp.Or(r.FormValue("name"), "somebody")
	id, err := s.users.add(r.Context(), name)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.WriteHeader(http.StatusCreated)
	fmt.Fprintf(rw, "Added user %d by process %d.\n", id, s.pid)
}

// cache tells what this worker knows of the value, and who it is.
func (s *service) cache(rw http.ResponseWriter, r *http.Request) {
	raw, ok := s.value.Get()
	info := s.value.Info()
	var v any = json.RawMessage(raw)
	switch {
	case !ok:
		v = nil
	case !json.Valid([]byte(raw)):
		v = raw
	}
	age := -1.0
	if ok {
		age = float64(time.Since(info.ChangedAt).Microseconds()) / 1000
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(struct {
		Epoch      uint64  `json:"epoch"`
		AgeMS      float64 `json:"age_ms"` // -1: there is no value
		Value      any     `json:"value"`
		PID        int     `json:"pid"`
		Slot       int     `json:"slot"`
		Worker     uint64  `json:"worker"`
		Generation uint64  `json:"generation"`
	}{info.Epoch, age, v, s.pid, s.w.Slot(), s.w.ID(), s.w.Generation()})
}

func (s *service) spin(rw http.ResponseWriter, r *http.Request) {
	n, ok := number(rw, r, "n", 1e7)
	if !ok {
		return
	}
	x := uint64(1)
	for range int64(n) {
		x = x*6364136223846793005 + 1442695040888963407
	}
	rw.Header().Set("X-Spin", strconv.FormatUint(x, 16)) // used, so that the loop is not dropped by the compiler
	s.index(rw, r)
}

func (s *service) slow(rw http.ResponseWriter, r *http.Request) {
	ms, ok := number(rw, r, "ms", 1000)
	if !ok {
		return
	}
	if pause(r, time.Duration(ms*float64(time.Millisecond))) {
		s.index(rw, r)
	}
}

// stream writes a line every 100 ms.
func (s *service) stream(rw http.ResponseWriter, r *http.Request) {
	seconds, ok := number(rw, r, "s", 1)
	if !ok {
		return
	}
	c := http.NewResponseController(rw)
	for i := range int(seconds * 10) {
		fmt.Fprintf(rw, "%d from process %d\n", i, s.pid)
		if c.Flush() != nil || !pause(r, 100*time.Millisecond) {
			return
		}
	}
	fmt.Fprintln(rw, "end")
}

func (s *service) upload(rw http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(rw, "%d %s\n", n, hex.EncodeToString(h.Sum(nil)))
}

// pause waits for d, and answers false if the client has gone before.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// number reads a query parameter like 1e7; it answers the client itself when that is not one.
func number(rw http.ResponseWriter, r *http.Request, name string, usual float64) (float64, bool) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return usual, true
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n < 0 || n > 1e15 {
		http.Error(rw, fmt.Sprintf("%s=%s is not a number from 0 to 1e15", name, v), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}
