package serve

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/control/dashboard"
	"github.com/tinehq/tine/supervisor/fleet/reports"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/values"
)

// ErrEnded is what a master answers that does not run yet, or has ended.
var ErrEnded = errors.New("the supervisor is not running")

// Master is the master that a Server answers for. Its methods are safe for concurrent use, end with their context, and return
// ErrEnded before the master runs and after its end. What the caller is to blame for is a [*api.Refusal].
type Master interface {
	// Snapshot is what the master knew at the end of the last turn of its loop. It has the effect of whatever the caller has
	// seen a sign of.
	Snapshot(ctx context.Context) (*snapshot.Master, error)

	// Place carries out an order for apps, as Do of api.Commander.
	Place(ctx context.Context, order api.Order, progress func(api.Progress)) error
	// Shutdown ends the master and returns when it has ended.
	Shutdown(ctx context.Context, order api.Order) error
	// Upgrade replaces the master by another binary. Its end is that of the attempt.
	Upgrade(ctx context.Context, binary string) error
	// Apply makes config the one that runs and waits for the rollouts that it brings. applied: it runs, whatever they came to.
	Apply(ctx context.Context, config *config.Config) (applied bool, err error)

	// Events and Logs are those of api.Commander.
	Events(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error
	Logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error

	// Value is a copy of what there is under a key. SetValue may fail with a cache.RefusedError. DeleteValue tells what was there.
	Value(ctx context.Context, key string) (values.Found, error)
	SetValue(ctx context.Context, key string, data []byte) (epoch uint64, err error)
	DeleteValue(ctx context.Context, key string) (values.Found, error)
	// DrainMember is that of api.Commander; false: there is no such gateway.
	DrainMember(ctx context.Context, d api.MemberDrain) (known bool, err error)
	// Call has a worker answer. Its error may be a handle.NoWorker, or a handle.NoHandler.
	Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error)
}

// Options are those of a Server. All but Version may be left out.
type Options struct {
	Version string // of tine
	Path    string // of the control socket; "": none
	Doctor  func() any
	Keeper  int // the process that brings the master back when it dies; 0: none

	// Reachable is called with the address of the control socket each time that it listens at another one: a path, or an abstract
	// name that begins with @; empty: at none. It is called by one goroutine at a time. With it the control socket may be
	// elsewhere than at Path, where that cannot be used.
	Reachable func(address string)

	Dashboard config.Dashboard
	Metrics   config.Metrics
	Health    config.Health

	Conns  int // connections to the control socket at a time
	Askers int // to each TCP address

	// Load reads the config again. It may wait for a disk.
	Load func() (*config.Config, error)

	// Upgradable: the master was started in a way that an upgrade is possible in.
	Upgradable bool
	Binary     string // that an order to upgrade takes where it names none
	// Preflight tries a binary and returns its version; nil: none is tried.
	Preflight func(ctx context.Context, binary string) (version string, err error)
}

// Server answers for one master. All methods may be called from any goroutine.
type Server struct {
	Options
	master   Master
	log      zerolog.Logger // see LogTo
	control  atomic.Pointer[control.Server]
	sampler  sampler
	drafts   drafts
	gateways *gateways
	look     chan bool // asks for a look at the control socket: see watchControl

	Handover *Handover

	upgrading sync.Mutex      // held over an upgrade that an order has begun
	trying    sync.Mutex      // held over its preflight
	upgrades  context.Context // ended with its cause by CallOff
	callOff   context.CancelCauseFunc
}

// New makes a Server that listens nowhere yet.
func New(m Master, o Options) *Server {
	s := &Server{Options: o, master: m, drafts: drafts{load: o.Load}, gateways: newGateways(), look: make(chan bool, 1), Handover: newHandover()}
	s.upgrades, s.callOff = context.WithCancelCause(context.Background())
	return s
}

// LogTo is where the Server logs. It comes before Start, and before an order to upgrade.
func (s *Server) LogTo(log zerolog.Logger) { s.log, s.Handover.log = log, log }

// Start begins to serve what the options ask for, as far as it can: what cannot be served is logged, and nothing else depends on
// it. The caller calls close, which returns when no client is served any more.
func (s *Server) Start(inherited Inherited) (close func()) {
	s.Handover.inherited = inherited
	log, page := s.log, s.Dashboard
	if s.Path == "" && page.Listen == "" && s.Metrics.Listen == "" && s.Health == (config.Health{}) {
		return func() {}
	}
	server := control.New(endedCommander{s.Commander()}, control.Options{
		Conns: s.Conns, Path: s.Path, Version: s.Version, Doctor: s.Doctor, Keeper: s.Keeper, Elsewhere: s.Reachable != nil, Logger: log,
	})
	gathered := s.mountMetrics(server)
	closeMetrics := s.serveMetrics(gathered)
	load := s.loadHandler()
	server.Handle("GET "+reports.Path, load)
	closeHealth := s.serveHealth(load)
	closeAgent := s.serveAgent()
	s.control.Store(server)
	closePage := s.serveDashboard(server, page)
	ended, stopWatching := make(chan struct{}, 1), func() {}
	if s.Path == "" {
		ended <- struct{}{}
	} else if err := s.listenSomewhere(server); err != nil {
		log.Warn().Str("path", s.Path).Err(err).Msg("no control socket: this master can only be reached by signals")
		ended <- struct{}{}
	} else {
		stopWatching = s.watchControl(server)
		go func() {
			defer func() { ended <- struct{}{} }()
			if err := server.Serve(); err != nil {
				log.Error().Str("path", s.Path).Err(err).Msg("the control API has ended")
			}
		}()
		log.Debug().Str("path", server.Address()).Msg("control API is served")
	}
	return func() {
		closePage()
		closeMetrics()
		closeHealth()
		closeAgent()
		stopWatching()
		if err := server.Close(); err != nil {
			log.Warn().Str("path", s.Path).Err(err).Msg("control API was not closed in order")
		}
		<-ended
	}
}

// listenSomewhere listens at the path, or where only the claim tells.
func (s *Server) listenSomewhere(server *control.Server) error {
	err := s.Handover.listenControl(server)
	if err != nil && s.Reachable != nil && server.ListenElsewhere() == nil {
		s.log.Warn().Str("path", server.Path()).Str("address", server.Address()).Err(err).
			Msg("the control socket cannot be made where it is to be: tine finds this master all the same")
		return nil
	}
	return err
}

// controlEvery is the time between two looks at the control socket.
const controlEvery = time.Second

// watchControl makes the control socket again when it has been removed, or its folder has. It has a goroutine of its own, as the
// loop must not wait for a disk. Reachable hears of each new address.
func (s *Server) watchControl(server *control.Server) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(controlEvery)
		defer every.Stop()
		told := ""
		for {
			if address := server.Address(); address != told && address != "" {
				told = address
				if s.Reachable != nil {
					s.Reachable(address)
				}
			}
			retell := false
			select {
			case <-quit:
				return
			case retell = <-s.look:
			case <-every.C:
			}
			again, err := server.Renew()
			switch {
			case err != nil:
				s.log.Warn().Str("path", server.Path()).Str("address", server.Address()).Err(err).
					Msg("the control socket was removed, and cannot be made again for now")
			case again:
				s.log.Info().Str("path", server.Path()).Msg("the control socket was removed: made again")
			}
			if retell {
				told = ""
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// LookAtControl has the control socket looked at now, and its address told to Reachable again: another master may have told its
// own. It does not wait.
func (s *Server) LookAtControl() {
	select {
	case s.look <- true:
	default: // a look is about to come
	}
}

// serveDashboard begins to serve the page. To look at it needs no token, to change something does.
func (s *Server) serveDashboard(server *control.Server, c config.Dashboard) (close func()) {
	if c.Listen == "" {
		s.Handover.drop(keptDashboard)
		return func() {}
	}
	page := dashboard.New(server.API(), dashboard.Options{
		Open: s.Handover.listenDashboard, Listen: c.Listen, TokenFile: c.TokenFile, Version: s.Version, Logger: s.log,
	})
	if err := page.Listen(); err != nil {
		s.log.Warn().Str("address", c.Listen).Err(err).Msg("no dashboard")
		return func() {}
	}
	s.log.Info().Str("address", page.Address()).Msg("dashboard")
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := page.Serve(); err != nil {
			s.log.Error().Str("address", c.Listen).Err(err).Msg("the dashboard has ended")
		}
	}()
	return func() {
		if s.Handover.isFollowed() {
			page.Drain()
		}
		if err := page.Close(); err != nil {
			s.log.Warn().Str("address", c.Listen).Err(err).Msg("dashboard was not closed in order")
		}
		<-ended
	}
}

// Hand adds to files what the next master accepts connections with, and leaves new connections to it. Resume takes them back.
func (s *Server) Hand(files map[string][]*os.File) (err error) {
	if server := s.control.Load(); server != nil {
		if files[KeptControl], err = server.Hand(); err != nil {
			return err
		}
		server.Release()
	}
	return s.Handover.Pause(files)
}

// Release leaves new connections of the control socket to the next master. Reclaim takes them back.
func (s *Server) Release() {
	if server := s.control.Load(); server != nil {
		server.Release()
	}
}

// Reclaim takes back what Release, or Hand, has left to a master that has failed.
func (s *Server) Reclaim() {
	if server := s.control.Load(); server != nil {
		server.Reclaim()
	}
	s.LookAtControl()
}
