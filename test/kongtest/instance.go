package kongtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// workspaceID is the one workspace's identifier, constant without a database.
const workspaceID = "0dc6f45b-8f8d-40d2-a504-473544ee190b"

// pluginConfig is one configuration of the plugin, complete with defaults, and
// the instance that each worker has of it.
type pluginConfig struct {
	info      *pluginInfo
	instances []instance
}

// instance is a worker's instance of a plugin configuration.
type instance struct {
	mu      sync.Mutex
	config  []byte // as start_instance delivers it
	id      int32  // zero after a reload: the plugin doesn't know it and makes the worker start one
	started bool
}

// deliver prepares what each worker sends to start_instance. config names the
// route or the service that the plugin is for.
func (p *pluginConfig) deliver(s *StandIn, pluginID string, config map[string]any) {
	routeID, _ := config["route_id"].(string)
	serviceID, _ := config["service_id"].(string)
	config["__ws_id"] = workspaceID
	config["__plugin_id"] = pluginID
	config["__key__"] = fmt.Sprintf("plugins:%s:%s:%s:::%s", p.info.Name, routeID, serviceID, workspaceID)
	p.instances = make([]instance, len(s.workers))
	for i := range p.instances {
		config["__seq__"] = s.sequence.Add(1)
		data, err := json.Marshal(config)
		if err != nil {
			panic(err) // it came from JSON
		}
		p.instances[i].config = data
		p.instances[i].started = s.reloaded
	}
}

// instanceID returns the worker's instance of p, starting it if there is none.
func (w *worker) instanceID(ctx context.Context, p *pluginConfig) (int32, error) {
	in := &p.instances[w.number]
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.started {
		return in.id, nil
	}
	id, err := w.startInstance(ctx, p.info.Name, in.config)
	if err != nil {
		return 0, fmt.Errorf("starting an instance of %s: %w", p.info.Name, err)
	}
	in.id, in.started = id, true
	return id, nil
}

// forget makes the worker start a new instance, unless that happened since id
// was used.
func (w *worker) forget(p *pluginConfig, id int32) {
	in := &p.instances[w.number]
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.id == id {
		in.started = false
	}
}

func (w *worker) startInstance(ctx context.Context, name string, config []byte) (int32, error) {
	c, err := w.pool.get(ctx)
	if err != nil {
		return 0, err
	}
	call := &kong_plugin_protocol.RpcCall{
		Sequence: w.calls.Add(1),
		Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
			CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: name, Config: config},
		},
	}
	reply, err := c.call(call)
	if err != nil {
		c.Close()
		return 0, err
	}
	status := reply.GetInstanceStatus()
	if status == nil {
		c.Close()
		return 0, errors.New("reply without an instance status")
	}
	w.pool.put(c)
	return status.InstanceId, nil
}
