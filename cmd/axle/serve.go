package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/python-wheel-build/axle/builder"
	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/cmd/axle/publish"
	"github.com/python-wheel-build/axle/index"
	"github.com/python-wheel-build/axle/index/rights"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/tokens"
)

type serveCmd struct {
	Listen         string        `default:"127.0.0.1:8080" help:"Address to listen on. Anything but loopback needs --insecure-listen."`
	Store          string        `required:"" env:"AXLE_STORE" help:"Folder, or s3://bucket/prefix?endpoint=URL&region=NAME with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set."`
	Config         string        `type:"existingfile" help:"axle.yaml with the views. Without it: one view 'default' on this machine's python3, built on demand."`
	Workers        int           `default:"${workers}" help:"Builds at once. 0 serves and builds nothing."`
	EarlyStart     bool          `default:"true" negatable:"" help:"When a client fetches a first wheel that has to be built, begin the others that it resolved. Needs two workers or more."`
	LimitTime      time.Duration `default:"8h" help:"How long one step of a build may take."`
	LimitMemory    int64         `default:"16" help:"Memory of one build, GiB."`
	LimitDisk      int64         `default:"64" help:"Disk of one build, GiB."`
	InsecureListen bool          `help:"Listen beyond loopback although nobody has to log in: whoever reaches the port can have code run in the sandbox."`
	ReadTokens     bool          `help:"Reading needs a token with the scope read, too, but for /healthz, /readyz and /robots.txt."`
	Host           []string      `help:"Further host names by which clients may call this server."`
	Crates         string        `env:"AXLE_CRATES" placeholder:"URL" help:"Crate registry for projects in Rust: sparse+https://HOST/PATH/. Without it: the one that cargo on this machine is set to use."`
	Tools          string        `env:"AXLE_TOOLS" help:"Folder with bin/uv and lib/pyproject_hooks. Without it: .tools beside the program or its folder."`
}

// shutdownLimit is how long requests under way may take to end when the server is told to.
const shutdownLimit = 5 * time.Second

func (c serveCmd) Run(ctx context.Context, s *command.Streams) error {
	log := slog.New(slog.NewTextHandler(s.Err, nil))
	// From the first moment: unheeded, the signal ends the process. One that comes before the views are read has them read again then.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := c.checkLimits(); err != nil {
		return err
	}
	tools, err := c.findTools()
	if err != nil {
		return err
	}
	store, given, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	// The users that builds run as read what is laid out for them, whatever umask the server was started with. The store's own folder, if it
	// is new, was made under that one.
	syscall.Umask(syscall.Umask(0) &^ 0o055)

	catalog, err := command.NewCatalog(store)
	if err != nil {
		return err
	}
	machines := &machine.Machines{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	queue := builder.NewLocal(catalog, machines, tools, "axle "+command.Version(), max(c.Workers, 1))
	queue.Limits = sandbox.Limits{Wall: c.LimitTime, Memory: c.LimitMemory << 30, Disk: c.LimitDisk << 30}
	if queue.Registry, err = host.CrateRegistry(c.Crates); err != nil && c.Crates != "" {
		return err
	} else if err != nil {
		log.Warn("cargo's configuration on this machine can't be used: crates are asked of its default registry", "err", err)
	}
	b := &builder.Builder{Catalog: catalog, Tools: tools, Machines: machines, Queue: queue, Watch: tellBuilds(log)}
	names := &names.Names{Store: store}
	front := &index.Server{Catalog: catalog, Names: names, Builder: b, Rights: rights.Rights{Tokens: given, Read: c.ReadTokens}, Registry: registry, Hosts: c.hosts(), Early: c.early(), Log: log}
	b.Index = front.Private()
	b.Start(ctx, registry)

	// Reading the machine takes a while: whether the address is free is known before, and who calls meanwhile waits.
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w; end what uses it, or name another address", c.Listen, err)
	}
	defer listener.Close()
	loader := &loader{Publisher: publish.Publisher{Store: store, Upstream: catalog.Upstream, File: c.Config, Progress: s.Err,
		Say: func(message string) { log.Info(message) }}, workers: c.Workers, log: log, catalog: catalog, names: names, machines: machines}
	if err := loader.load(ctx, "start"); err != nil {
		return err
	}
	server := &http.Server{Handler: front.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(s.Out, "pip install --index-url http://%s/simple/ markupsafe\n", c.address(listener.Addr())); err != nil {
		return err
	}
	if c.InsecureListen && len(c.Host) == 0 {
		log.Warn("clients elsewhere are refused until the name that they call this server by is given with --host")
	}
	for {
		select {
		case <-hup:
			if err := loader.load(ctx, "SIGHUP"); err != nil {
				log.Error("views stay as they were", "err", err)
			}
		case err := <-served:
			return fmt.Errorf("serving: %w", err)
		case <-ctx.Done():
			log.Info("stopping; builds under way are given up and will be built when asked for again")
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
			defer cancel()
			if err := server.Shutdown(ctx); err != nil {
				return server.Close()
			}
			return nil
		}
	}
}

// open opens the store, unless others could reach the address although nobody has to log in: then a token must have been made for it.
func (c serveCmd) open(ctx context.Context) (*cas.Store, *tokens.Tokens, error) {
	listens, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("--listen %s: %w; want HOST:PORT, e.g. 127.0.0.1:8080", c.Listen, err)
	}
	ip := net.ParseIP(listens)
	alone := c.InsecureListen || listens == "localhost" || ip != nil && ip.IsLoopback()
	store, err := command.OpenStore(ctx, c.Store, !alone) // one that is only made now has no tokens
	if alone {
		return store, &tokens.Tokens{Store: store}, err
	}
	if err == nil {
		given := &tokens.Tokens{Store: store}
		any, failed := given.Any(ctx)
		if any {
			return store, given, nil
		}
		err = errors.Join(failed, store.Close())
	}
	if err == nil {
		err = errors.New("no token was made for the store")
	}
	return nil, nil, fmt.Errorf("--listen %s can be reached from other machines, and nobody has to log in (%w); make a token with `axle token create`, put a proxy with a "+
		"login in front of a loopback address, or say --insecure-listen", c.Listen, err)
}

// address is one that clients on this machine may use.
func (c serveCmd) address(listens net.Addr) string {
	tcp, ok := listens.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return listens.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}

// checkLimits refuses numbers that mean nothing.
func (c serveCmd) checkLimits() error {
	const most = 1 << 30 // GiB: more overflows, and no machine has it
	switch {
	case c.Workers < 0:
		return fmt.Errorf("--workers %d: want 0, which builds nothing, or more", c.Workers)
	case c.LimitTime <= 0, c.LimitMemory <= 0, c.LimitMemory > most, c.LimitDisk <= 0, c.LimitDisk > most:
		return fmt.Errorf("--limit-time %s, --limit-memory %d, --limit-disk %d: each must be more than nothing; leave a flag out for its default", c.LimitTime, c.LimitMemory, c.LimitDisk)
	}
	return nil
}

// earlyPerWorker is how many builds each worker has to choose from before anybody waits for them: most wait for the same few build
// requirements at first, and what those need in turn should be known soon. More would hold more sources unpacked.
const earlyPerWorker = 8

// early is how many builds may be begun early. They leave one worker to those who wait, so one worker has none for them.
func (c serveCmd) early() int {
	if !c.EarlyStart || c.Workers < 2 {
		return 0
	}
	return earlyPerWorker * c.Workers
}

// hosts are the names under which a client may mean this server.
func (c serveCmd) hosts() []string {
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, c.Host...)
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}

// findTools looks where `make tools` and a package would put them.
func (c serveCmd) findTools() (string, error) {
	candidates := []string{c.Tools}
	if c.Tools == "" {
		exe, err := os.Executable()
		if err != nil {
			return "", err
		}
		dir := filepath.Dir(exe)
		candidates = []string{filepath.Join(dir, ".tools"), filepath.Join(dir, "..", ".tools"), filepath.Join(dir, "..", "lib", "axle")}
	}
	for _, dir := range candidates {
		_, uv := os.Stat(filepath.Join(dir, "bin", "uv"))
		_, hooks := os.Stat(filepath.Join(dir, "lib", "pyproject_hooks"))
		if uv == nil && hooks == nil {
			return filepath.Abs(dir)
		}
	}
	return "", fmt.Errorf("uv and pyproject_hooks, which builds need, are not in %q; run `make tools` in the source tree, or name their folder with --tools", candidates)
}

func workersDefault() string { return fmt.Sprint(runtime.NumCPU()) }
