package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

const (
	maxUpload = 256 << 10
	staleness = 15 * time.Second // of the cached value, which is asked for five times a second, but not while the master hangs
)

// uploads is the text that each upload is a piece of.
var uploads = func() []byte {
	b := make([]byte, maxUpload)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}()

// work is a request with the answer that it must get.
type work struct {
	rawhttp.Request
	quick bool // the demo answers at once
	check func(body []byte) (pid int, err error)
}

// pick draws a request; long: also of those whose answer begins before a drain and
// ends after its delay.
func pick(r *rand.Rand, long bool) work {
	get := func(path string, check func([]byte) (int, error)) work {
		return work{Request: rawhttp.Request{Method: "GET", Path: path}, check: check}
	}
	upload := func(n int) work {
		body := uploads[:n]
		return work{Request: rawhttp.Request{Method: "POST", Path: "/upload", Body: body},
			check: func(answer []byte) (int, error) { return 0, checkUpload(answer, body) }}
	}
	switch n := r.IntN(1000); {
	case n < 4 && long:
		return get("/stream?s=1.4", func(b []byte) (int, error) { return checkStream(b, 14) })
	case n < 10:
		return get("/stream?s=0.3", func(b []byte) (int, error) { return checkStream(b, 3) })
	case n < 25:
		return get("/slow?ms="+strconv.Itoa(20+r.IntN(400)), checkIndex)
	case n < 35:
		w := upload(1000 + r.IntN(maxUpload-1000))
		w.Pieces, w.Pause = 2+r.IntN(9), time.Duration(1+r.IntN(40))*time.Millisecond
		return w
	case n < 60:
		return upload(1 + r.IntN(maxUpload))
	case n < 200:
		w := upload(1 + r.IntN(2000))
		w.quick = true
		return w
	default:
		w := get("/", checkIndex)
		w.quick = true
		return w
	}
}

// checkIndex wants "Handled by process 4711.Cached value: 1763760000", where the
// value is the time at which the master ran its source.
func checkIndex(body []byte) (pid int, err error) {
	wrong := func(why string) (int, error) { return pid, fmt.Errorf("%s in the answer %q", why, body) }
	rest, ok := strings.CutPrefix(string(body), "Handled by process ")
	number, value, ok2 := strings.Cut(rest, ".Cached value: ")
	if !ok || !ok2 {
		return wrong("something missing")
	}
	if pid, err = strconv.Atoi(number); err != nil {
		return wrong("no PID")
	}
	at, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return wrong("no cached value")
	}
	if age := time.Since(time.Unix(at, 0)); age > staleness {
		return pid, fmt.Errorf("the cached value is %v old", age)
	}
	return pid, nil
}

func checkUpload(answer, body []byte) error {
	sum := sha256.Sum256(body)
	if want := fmt.Sprintf("%d %s\n", len(body), hex.EncodeToString(sum[:])); string(answer) != want {
		return fmt.Errorf("answer %q to an upload of %d bytes, want %q", answer, len(body), want)
	}
	return nil
}

func checkStream(body []byte, n int) (pid int, err error) {
	if lines := bytes.Split(body, []byte("\n")); len(lines) != n+2 || string(lines[n]) != "end" {
		return 0, fmt.Errorf("stream %q has not %d lines and an end", body, n)
	}
	_, err = fmt.Sscanf(string(body), "0 from process %d", &pid)
	return pid, err
}
