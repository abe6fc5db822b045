package kongtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"m2m-token-enricher/test/await"
)

// Command does what the kong command does, with the stand-in instead of Kong,
// and returns the exit code:
//
//	start -c KONG_CONF -p PREFIX
//	stop -p PREFIX
//
// It behaves as the tests of a real Kong expect. It answers before the plugin
// listens. If root starts it, it and the plugin run as the user of Kong's
// workers, without a umask.
func Command(args []string, out io.Writer) int {
	var err error
	switch {
	case len(args) == 5 && args[0] == "start":
		err = startDaemon(args[2], args[4])
	case len(args) == 3 && args[0] == "stop":
		err = stopDaemon(args[2])
	case len(args) == 2 && args[0] == daemon:
		err = runDaemon(args[1], out)
	default:
		err = errors.New("usage: start -c KONG_CONF -p PREFIX | stop -p PREFIX")
	}
	if err != nil {
		fmt.Fprintf(out, "Error: %v\n", err)
		return 1
	}
	return 0
}

const (
	daemon   = "daemon"    // the command that start starts
	started  = "started"   // the line that it writes once it serves; any other is an error
	stopTime = time.Minute // how long stop waits
)

// startDaemon starts the daemon and returns when it serves.
func startDaemon(conf, prefix string) error {
	cmd := exec.Command(os.Args[0], daemon, conf)
	cmd.Dir, cmd.SysProcAttr = prefix, &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		user, err := workersUser()
		if err != nil {
			return err
		}
		cmd.SysProcAttr.Credential = user
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	lines := bufio.NewScanner(output)
	if lines.Scan() && lines.Text() == started {
		return nil
	}
	rest, _ := io.ReadAll(output) // it has ended
	return errors.Join(fmt.Errorf("%s\n%s", lines.Text(), rest), cmd.Wait())
}

// stopDaemon ends the daemon and waits until it has removed its file.
func stopDaemon(prefix string) error {
	var pid int
	text, err := os.ReadFile(pidFile(prefix))
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil {
		return fmt.Errorf("not running: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return await.Success(ctx, func() error {
		if _, err := os.Stat(pidFile(prefix)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("process %d doesn't end", pid)
		}
		return nil
	})
}

func pidFile(prefix string) string { return filepath.Join(prefix, "pid") }

// runDaemon serves until SIGTERM.
func runDaemon(conf string, out io.Writer) error {
	syscall.Umask(0)
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer end()
	o, err := readKongConf(conf)
	if err != nil {
		return err
	}
	s, err := startInstalled(ctx, o)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", o.installed.admin)
	if err == nil {
		err = os.WriteFile(pidFile(o.installed.prefix), fmt.Append(nil, os.Getpid()), 0o644)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	go http.Serve(admin, adminAPI(s)) // until the process ends
	fmt.Fprintln(out, started)
	<-ctx.Done()
	return errors.Join(s.Close(), os.Remove(pidFile(o.installed.prefix)))
}

// adminAPI is the part of Kong's that the tests need.
func adminAPI(s *StandIn) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /config", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Config string }
		err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body)
		if err == nil {
			err = s.Reload([]byte(body.Config))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	return mux
}
