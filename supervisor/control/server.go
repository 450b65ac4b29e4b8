package control

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"golang.org/x/sys/unix"
)

// Limits of what one client can do to the master. That of an answer is
// Options.WriteTimeout.
const (
	headerTimeout = 5 * time.Second  // for the head of a request
	bodyTimeout   = 30 * time.Second // for its body
	idleTimeout   = 2 * time.Minute  // between two requests of a connection
	maxHeader     = 16 << 10         // bytes
	maxJSON       = 64 << 10         // bytes of a body that is JSON
	maxValue      = 64 << 20         // bytes of a cached value

	closeGrace = 2 * time.Second        // for requests under way when the server is closed
	closeForce = 500 * time.Millisecond // for their ends, once their contexts have ended
)

// Options are those of a Server.
type Options struct {
	Path    string         // of the socket: see DefaultPath
	Version string         // of tine
	Doctor  func() any     // what /v1/doctor answers, as JSON; nil: 501
	Logger  zerolog.Logger // orders, refused peers, readers that were cut
	Conns   int            // connections at a time; 0: 512

	// Keeper is the process that brings the master back when it dies; 0: none. A client then waits a moment for the next master.
	Keeper int

	// Elsewhere allows Renew to listen where only Address tells, for a master whose claim tells it: see ListenElsewhere.
	Elsewhere bool

	// WriteTimeout is how long a reader may take to read any of what waits for it
	// before it is cut; 0: 10 s. What waits is bounded: about 256 KiB here, what the
	// kernel keeps, and the Commander's queue of that reader.
	WriteTimeout time.Duration
}

// Server answers at one socket. Its order is New, Handle, Listen, Serve, Close.
type Server struct {
	commander api.Commander
	options   Options
	log       zerolog.Logger
	mounted   map[string]http.Handler
	mux       func() *http.ServeMux // builds it once, when all is mounted

	http        *http.Server
	socket      *socket
	base        context.Context // of all requests
	cancelBase  context.CancelFunc
	streaming   context.Context // of those that end by themselves never
	stopStreams context.CancelFunc

	crowd *Crowd

	mu       sync.Mutex
	closing  bool
	underWay int
	none     chan struct{} // closed when closing and none is under way
	closed   chan struct{}
	closeErr error
}

// New makes a server that listens nowhere yet.
func New(c api.Commander, o Options) *Server {
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if abs, err := filepath.Abs(o.Path); err == nil && o.Path != "" {
		o.Path = abs
	}
	s := &Server{
		commander: c, options: o, log: o.Logger, mounted: map[string]http.Handler{}, crowd: peerCrowd(o.Conns),
		none: make(chan struct{}), closed: make(chan struct{}),
	}
	s.base, s.cancelBase = context.WithCancel(context.Background())
	s.streaming, s.stopStreams = context.WithCancel(s.base)
	s.mux = sync.OnceValue(s.buildMux)
	s.http = HTTP1(&http.Server{
		Handler:           s.API(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withPeer,
		ConnState:         s.crowd.State,
		ErrorLog:          stdlog.New(debugLines{o.Logger}, "", 0),
	})
	return s
}

// Path is that of the socket, absolute.
func (s *Server) Path() string { return s.options.Path }

// Handle mounts a handler for a pattern of http.ServeMux with its method, such as
// "GET /v1/metrics": a route of the table that this package leaves to others, or one
// of their own. It must come before Listen and the first use of API. The handler has
// the limits that every other has: its request's context ends when the server is
// closed, and a reader that does not read makes its Write fail after
// Options.WriteTimeout. It may answer with Problem.
func (s *Server) Handle(pattern string, h http.Handler) { s.mounted[pattern] = h }

// API is all that the server answers, for a listener of the caller, which has to
// check the client and the methods that it lets through. Its requests count as under way
// when the server is closed, and are answered with 503 after that.
func (s *Server) API() http.Handler { return http.HandlerFunc(s.serveHTTP) }

// Listen makes the socket. A folder that cannot be written, or a path that is in use
// (ErrInUse), is an error that the master can live with: it has changed nothing.
func (s *Server) Listen() error {
	if s.options.Path == "" {
		return errors.New("cannot listen: no path is given for the control socket")
	}
	socket, err := listen(s.options.Path, s.options.Keeper)
	if err != nil {
		return err
	}
	return s.use(socket)
}

func (s *Server) use(socket *socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		socket.Close()
		return http.ErrServerClosed
	}
	s.socket = socket
	return nil
}

// ListenElsewhere is for a Server whose Listen has failed: it listens at an abstract name, which [Discover] finds by the
// master's claim, and tries again at each Renew to listen at Options.Path. Only Linux has such names.
func (s *Server) ListenElsewhere() error {
	socket, err := listenAbstract()
	if err != nil {
		return err
	}
	return s.use(socket)
}

// Address is where it listens: a path, an abstract name that begins with @, or empty, which is nowhere.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == nil || s.closing {
		return ""
	}
	return s.socket.path
}

// Serve answers until Close, and returns nil then.
func (s *Server) Serve() error {
	var last *socket
	var err error
	for {
		s.mu.Lock()
		socket, closing := s.socket, s.closing
		s.mu.Unlock()
		switch {
		case closing || errors.Is(err, http.ErrServerClosed):
			return nil
		case socket == nil:
			return errors.New("cannot serve: the server does not listen")
		case socket == last:
			return fmt.Errorf("cannot accept at %s: %w", s.options.Path, err)
		}
		last = socket
		err = s.http.Serve(&guard{socket: socket, log: s.log, crowd: s.crowd})
	}
}

// Adopt is Listen with the files of the master before this one, whose Hand has returned
// them: a client that connects meanwhile waits. They stay the caller's. An error means that
// Listen is to be called.
func (s *Server) Adopt(files []*os.File) error {
	if len(files) != 2 {
		return fmt.Errorf("cannot take over the control socket: %d files, want 2", len(files))
	}
	socket, err := adopt(s.options.Path, s.options.Keeper, files[0], files[1])
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = socket
	return nil
}

// Hand returns duplicates of the socket and its lock, for Adopt of the next master. The
// caller closes them. There are none where it does not listen.
func (s *Server) Hand() ([]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == nil || s.closing || s.socket.lock == nil {
		return nil, nil // who follows makes its own
	}
	listener, err := s.socket.File()
	if err != nil {
		return nil, err
	}
	n, err := unix.FcntlInt(s.socket.lock.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("cannot hand on the lock of %s: %w", s.socket.path, err)
	}
	return []*os.File{listener, os.NewFile(uintptr(n), s.socket.path+lockSuffix)}, nil
}

// Release leaves the socket to the master that it was handed to: new connections are
// that one's, and Close removes nothing. Requests under way go on. Reclaim takes it back.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == nil || s.closing || s.socket.lock == nil {
		return
	}
	s.socket.released = true
	s.socket.Pause()
}

// Reclaim takes back what Release has left to a master that has failed: see Release.
func (s *Server) Reclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.socket == nil || !s.socket.released {
		return
	}
	s.socket.released = false
	sign(s.socket.lock, s.options.Keeper)
	s.socket.Resume()
}

// Renew makes the socket again where its file is gone, as after a cleaner of temporary
// folders or a logout, and says whether it did. One that was released is not its concern. Requests under way go on. Serve goes on
// with the new one. Where it cannot be made it listens elsewhere meanwhile, as
// ListenElsewhere does, and each Renew tries again, of which an error is told once. It
// costs a look at the file, or a few, and is to be called about once a second.
func (s *Server) Renew() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.socket
	if s.closing || old == nil || old.released {
		return false, nil
	}
	elsewhere := isAbstract(old.path)
	if old.there() && !elsewhere {
		return false, nil
	}
	dropLock(old.lock) // the new one takes it, unless another master has
	socket, err := relisten(s.options.Path, s.options.Keeper)
	if err != nil && elsewhere {
		return false, nil
	}
	again := err == nil
	if !again {
		if !s.options.Elsewhere {
			return false, err
		}
		var failed error
		if socket, failed = listenAbstract(); failed != nil {
			return false, err
		}
	}
	s.socket = socket
	old.Close()
	return again, err
}

// Close removes the socket, ends the streams, lets the other requests end for two
// seconds, and then ends them. It takes three seconds at most, unless there is a
// Commander that outlives its context, which is an error.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		<-s.closed
		return s.closeErr
	}
	s.closing = true
	if s.underWay == 0 {
		close(s.none)
	}
	socket := s.socket
	s.mu.Unlock()
	defer close(s.closed)

	s.stopStreams()
	s.http.SetKeepAlivesEnabled(false)
	if socket != nil {
		s.closeErr = socket.Close()
	}
	if !s.ended(closeGrace) {
		s.cancelBase()
		if !s.ended(closeForce) {
			s.closeErr = errors.Join(s.closeErr, errors.New("cannot end all requests: the master does not answer"))
		}
	}
	s.cancelBase()
	if socket != nil && socket.released {
		s.crowd.Wait(closeForce) // what was accepted before is sent on, not cut
	}
	// The handlers have returned, but their last bytes may be on the way.
	ctx, cancel := context.WithTimeout(context.Background(), closeForce)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	return s.closeErr
}

func (s *Server) ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.none:
		return true
	case <-timer.C:
		return false
	}
}

// begin counts a request. It says no when the server is being closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.underWay++
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay--
	if s.closing && s.underWay == 0 {
		close(s.none)
	}
}

// serveHTTP is around every request: its limits, its end with the server, its panics.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &answerWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.options.WriteTimeout}
	answer.resetDeadline()
	if r.ContentLength != 0 { // until the body has been read; net/http reads it where no handler does
		answer.setReadDeadline(time.Now().Add(bodyTimeout))
	}
	defer answer.setDeadline() // for what net/http writes after the handler
	if !s.begin() {
		Problem(answer, api.Ending())
		return
	}
	defer s.end()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.base, cancel)()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			s.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Str("path", r.URL.Path).Msg("a control request panicked")
			if !answer.begun {
				Problem(answer, api.Refuse(http.StatusInternalServerError, "the handler panicked: see the master's log"))
				return
			}
		}
		panic(http.ErrAbortHandler)
	}()
	s.mux().ServeHTTP(answer, r.WithContext(ctx))
}

// debugLines takes what net/http has to say of clients that behave badly.
type debugLines struct{ log zerolog.Logger }

func (d debugLines) Write(p []byte) (int, error) {
	d.log.Debug().Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}
