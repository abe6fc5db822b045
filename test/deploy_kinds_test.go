package test

// The fields that the manifests and the chart's values use, and no others.
type (
	kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	kongPlugin struct {
		kind
		Plugin        string         `json:"plugin"`
		Config        map[string]any `json:"config"`
		ConfigPatches []struct {
			Path      string    `json:"path"`
			ValueFrom valueFrom `json:"valueFrom"`
		} `json:"configPatches"`
	}
	service struct {
		kind
		Spec struct {
			Type         string `json:"type"`
			ExternalName string `json:"externalName"`
			Ports        []struct {
				Name string `json:"name"`
				Port int    `json:"port"`
			} `json:"ports"`
		} `json:"spec"`
	}
	ingress struct {
		kind
		Spec struct {
			IngressClassName string `json:"ingressClassName"`
			TLS              []struct {
				Hosts      []string `json:"hosts"`
				SecretName string   `json:"secretName"`
			} `json:"tls"`
			Rules []struct {
				Host string `json:"host"`
				HTTP struct {
					Paths []ingressPath `json:"paths"`
				} `json:"http"`
			} `json:"rules"`
		} `json:"spec"`
	}
	ingressPath struct {
		Path     string `json:"path"`
		PathType string `json:"pathType"`
		Backend  struct {
			Service struct {
				Name string `json:"name"`
				Port struct {
					Number int `json:"number"`
				} `json:"port"`
			} `json:"service"`
		} `json:"backend"`
	}
	deployment struct {
		kind
		Spec struct {
			Replicas int `json:"replicas"`
			Strategy struct {
				Type string `json:"type"`
			} `json:"strategy"`
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			Template struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
				Spec struct {
					AutomountServiceAccountToken bool        `json:"automountServiceAccountToken"`
					SecurityContext              security    `json:"securityContext"`
					Containers                   []container `json:"containers"`
					Volumes                      []volume    `json:"volumes"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	container struct {
		Name    string   `json:"name"`
		Image   string   `json:"image"`
		Command []string `json:"command"`
		Args    []string `json:"args"`
		Env     []struct {
			Name      string    `json:"name"`
			Value     string    `json:"value"`
			ValueFrom valueFrom `json:"valueFrom"`
		} `json:"env"`
		Ports []struct {
			Name          string `json:"name"`
			ContainerPort int    `json:"containerPort"`
		} `json:"ports"`
		ReadinessProbe struct {
			HTTPGet struct {
				Path string `json:"path"`
				Port string `json:"port"`
			} `json:"httpGet"`
			PeriodSeconds int `json:"periodSeconds"`
		} `json:"readinessProbe"`
		Resources       resources `json:"resources"`
		SecurityContext security  `json:"securityContext"`
		VolumeMounts    []mount   `json:"volumeMounts"`
	}
	volume struct {
		Name      string `json:"name"`
		ConfigMap *struct {
			Name string `json:"name"`
		} `json:"configMap"`
		Secret *struct {
			SecretName  string `json:"secretName"`
			DefaultMode int    `json:"defaultMode"`
		} `json:"secret"`
		EmptyDir *struct{} `json:"emptyDir"`
	}
	mount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		ReadOnly  bool   `json:"readOnly"`
	}
	valueFrom struct {
		SecretKeyRef secretKey `json:"secretKeyRef"`
	}
	secretKey struct {
		Name string `json:"name"`
		Key  string `json:"key"`
	}
	security struct {
		ReadOnlyRootFilesystem   bool                `json:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation bool                `json:"allowPrivilegeEscalation"`
		RunAsUser                int                 `json:"runAsUser"`
		RunAsNonRoot             bool                `json:"runAsNonRoot"`
		FSGroup                  int                 `json:"fsGroup"`
		SeccompProfile           map[string]string   `json:"seccompProfile"`
		Capabilities             map[string][]string `json:"capabilities"`
	}
	resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	}
	chartValues struct {
		Image struct {
			Repository      string `json:"repository"`
			Tag             string `json:"tag"`
			EffectiveSemver string `json:"effectiveSemver"`
		} `json:"image"`
		Env        map[string]string `json:"env"`
		Deployment struct {
			UserDefinedVolumes      []volume `json:"userDefinedVolumes"`
			UserDefinedVolumeMounts []mount  `json:"userDefinedVolumeMounts"`
		} `json:"deployment"`
		SecurityContext          security  `json:"securityContext"`
		ContainerSecurityContext security  `json:"containerSecurityContext"`
		Resources                resources `json:"resources"`
		ReplicaCount             int       `json:"replicaCount"`
		PodDisruptionBudget      struct {
			Enabled        bool `json:"enabled"`
			MaxUnavailable int  `json:"maxUnavailable"`
		} `json:"podDisruptionBudget"`
		UpdateStrategy struct {
			Type          string         `json:"type"`
			RollingUpdate map[string]int `json:"rollingUpdate"`
		} `json:"updateStrategy"`
	}
	dblessValues struct {
		IngressController struct {
			Enabled bool `json:"enabled"`
		} `json:"ingressController"`
		DBLessConfig struct {
			ConfigMap string `json:"configMap"`
		} `json:"dblessConfig"`
		CustomEnv map[string]struct {
			ValueFrom valueFrom `json:"valueFrom"`
		} `json:"customEnv"`
	}
)
