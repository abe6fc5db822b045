package rotation

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// lockTimeout is how long a command waits for another one on the same file.
const lockTimeout = 10 * time.Second

// Load reads the file at path.
func Load(path string) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // it names the path
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, jws.MaxRingSize+1)) // one more is refused
	if err != nil {
		return nil, err
	}
	s, err := Parse(text, info.ModTime())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Create writes a new file, which must not exist: whole or not at all.
func Create(path string, text []byte) error {
	dir := filepath.Dir(path)
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeLeftovers(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, leftover(path)+"*") // mode 0600
	if err != nil {
		return err
	}
	err = writeAll(f, text)
	if err == nil {
		err = os.Link(f.Name(), path) // unlike a rename, it doesn't overwrite
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w, and is never overwritten; add a key to it, or move it away", path, fs.ErrExist)
	}
	return errors.Join(err, os.Remove(f.Name()), syncDir(dir))
}

// Update applies step to the file at path, or changes nothing. A run that is
// killed leaves the old content or the new one, and two runs don't lose each
// other's step.
func Update(path string, step func(*Set) error) error {
	path, err := filepath.EvalSymlinks(path) // or the link would be replaced
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeLeftovers(path); err != nil {
		return err
	}
	s, err := Load(path)
	if err != nil {
		return err
	}
	if s.PEM() {
		return fmt.Errorf("%s: %w", path, errPEM)
	}
	if err := step(s); err != nil {
		return err
	}
	text, err := s.Text()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replace(path, text)
}

// errNoStep leaves the file as it is: its time may be all that is known of a
// key.
var errNoStep = errors.New("no step is due")

// Rotate takes the step that is due at the file at path, if one is, and
// returns it and the one that comes next, as [Set.Rotate] does.
func Rotate(path string, p Policy, now time.Time) (taken, next *Step, err error) {
	err = Update(path, func(s *Set) error {
		if taken, next, err = s.Rotate(p, now); err == nil && taken == nil {
			return errNoStep
		}
		return err
	})
	if errors.Is(err, errNoStep) {
		err = nil
	}
	return taken, next, err
}

// replace writes text beside path and renames it. Who could rightly read the
// old file can read the new one.
func replace(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), leftover(path)+"*") // mode 0600
	if err != nil {
		return err
	}
	err = keepReaders(f, info)
	if err = errors.Join(err, writeAll(f, text)); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// keepReaders lets the user that Kong runs as read the new file: its owner or,
// where the old file is root's and its group's to read, that group. Only root can
// give files away; anybody else is the owner.
func keepReaders(f *os.File, old fs.FileInfo) error {
	stat, ok := old.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	err := f.Chown(int(stat.Uid), int(stat.Gid))
	if stat.Uid == 0 && stat.Gid != 0 && old.Mode().Perm()&0o040 != 0 {
		err = errors.Join(err, f.Chmod(0o640))
	}
	return err
}

func writeAll(f *os.File, text []byte) error {
	_, err := f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// leftover begins the names of the files that are written beside path.
func leftover(path string) string { return "." + filepath.Base(path) + ".new-" }

// removeLeftovers removes what killed runs left: it holds private keys. Nobody
// else writes now, since the lock is held.
func removeLeftovers(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), leftover(path)); ok && strings.Trim(number, "0123456789") == "" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// lock locks the directory: the file itself is replaced, and a file only for
// the lock would stay. The lock ends with the process at the latest.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockTimeout)
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("lock %s, which another run may hold: %w", dir, err), f.Close())
		}
		<-retry.C
	}
}
