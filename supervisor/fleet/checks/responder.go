package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// App is how an app is, for Answer.
type App struct {
	Wanted, Ready int    // workers
	MaxInFlight   int    // requests that each worker may have; 0: there is no bound
	Draining      bool   // the app stops
	Why           string // in words, where it is not as it should be; one line
}

// Answer is what HAProxy is told of an app. The weight is the share of its workers that are ready.
func Answer(a App) string {
	why := ""
	if a.Why != "" {
		why = " #" + strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, a.Why)
	}
	switch {
	case a.Draining:
		return "up drain" + why + "\n"
	case a.Ready == 0 && why == "":
		return "ready down #no worker is ready\n"
	case a.Ready == 0:
		return "ready down" + why + "\n"
	}
	text := fmt.Sprintf("ready up %d%%", min(max(100*a.Ready/max(a.Wanted, 1), 1), 100))
	if a.MaxInFlight > 0 {
		text += fmt.Sprintf(" maxconn:%d", a.Ready*a.MaxInFlight)
	}
	return text + "\n"
}

const (
	// mostAsking bounds the connections that are answered at one time; a further one is closed.
	mostAsking = 32
	// askTime bounds one connection, and nameTime the wait for what it sends: HAProxy sends at once, or nothing.
	askTime, nameTime = time.Second, 200 * time.Millisecond
)

// Respond answers each connection to l with what say returns, until ctx is done; it closes l. sent is the line that the connection has sent
// first, without blanks around it; "": none came at once. say may be called by several goroutines at once. The error is that of Accept where
// ctx is not done.
func Respond(ctx context.Context, l net.Listener, say func(sent string) string) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, mostAsking)
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot answer agent-checks: %w", err)
		case err != nil: // no descriptor is left, say
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case places <- struct{}{}:
			all.Go(func() { answer(c, say); <-places })
		default:
			c.Close()
		}
	}
}

// answer answers one connection, and waits for the end of the other side: to close a connection with something unread would reset it, and
// with that take the answer back.
func answer(c net.Conn, say func(string) string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(nameTime))
	line, _ := bufio.NewReader(io.LimitReader(c, mostWords)).ReadString('\n') // an error: what came until then is the line
	_ = c.SetDeadline(time.Now().Add(askTime))
	if _, err := io.WriteString(c, say(strings.TrimSpace(line))); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, mostWords))
	}
}
