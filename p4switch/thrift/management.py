"""The calls on the switch itself: configuration, ports, custom hashes, learning; and the whole standard service."""

from __future__ import annotations

import json

from p4switch.dataplane import DataplaneError
from p4switch.thrift.arrays import ArrayCalls
from p4switch.thrift.calls import Calls
from p4switch.thrift.profiles import ProfileCalls
from p4switch.thrift.protocol import INTERNAL_ERROR, ApplicationError
from p4switch.thrift.services import (
    CrcConfig,
    InvalidCrcOperation,
    InvalidDevMgrOperation,
    InvalidIdLookup,
    InvalidLearnOperation,
    InvalidSwapOperation,
    InvalidToeplitzHashOperation,
    PortInfo,
    ResourceType,
    SwitchConfig,
)
from p4switch.thrift.snapshot import snapshot
from p4switch.thrift.tables import TableCalls

ERROR = 1
SWAP_DISABLED, NO_SWAP = 1, 3
UNKNOWN_CALCULATION, WRONG_ALGORITHM, INVALID_CONFIG = 1, 2, 3


class ManagementCalls(Calls):
    # -- configurations

    def bm_get_config(self) -> bytes:
        return self.state.config()

    def bm_get_config_md5(self) -> bytes:
        return self.state.config_md5()

    def bm_load_new_config(self, config_str: str) -> None:
        """Compiles the program now, so that the swap is quick; it takes packets after the swap."""
        with self.state.lock:
            if not self.state.swap_enabled:
                raise InvalidSwapOperation(SWAP_DISABLED)
            config = config_str.encode()
            try:
                self.state.dataplane.prepare(config)
            except DataplaneError as error:
                raise ApplicationError(INTERNAL_ERROR, str(error)) from None
            self.state.next_config = config

    def bm_swap_configs(self) -> None:
        with self.state.lock:
            if not self.state.swap_enabled:
                raise InvalidSwapOperation(SWAP_DISABLED)
            if self.state.next_config is None:
                raise InvalidSwapOperation(NO_SWAP)
            self.state.dataplane.load(self.state.next_config)
            self.state.next_config = None

    def bm_reset_state(self) -> None:
        with self.state.lock:
            self.state.reset()

    def bm_serialize_state(self) -> str:
        with self.state.lock:
            return json.dumps(snapshot(self.state))

    def bm_mgmt_get_info(self) -> SwitchConfig:
        return SwitchConfig(device_id=self.state.device_id & (2**63 - 1), thrift_port=self.state.thrift_port)

    def bm_get_id_from_name(self, resource_type: int, resource_name: str) -> int:
        objects = self.state.program.objects
        ids: dict[int, dict[str, int]] = {
            ResourceType.MATCH_TABLE: {info.name: info.number for info in objects.tables.values()},
            ResourceType.ACTION_PROFILE: {info.name: info.number for info in objects.profiles.values()},
            ResourceType.COUNTER: {name: number for name, (number, _) in objects.counters.items()},
            ResourceType.METER: {name: number for name, (number, _) in objects.meters.items()},
            ResourceType.REGISTER: {name: number for name, (number, _) in objects.registers.items()},
            ResourceType.LEARNING_LIST: {item.name: item.id for item in objects.program.digests.values()},
        }
        if resource_type not in ids:
            raise InvalidIdLookup(0)
        if resource_name not in ids[resource_type]:
            raise InvalidIdLookup(1)
        return ids[resource_type][resource_name]

    # -- ports

    def bm_dev_mgr_add_port(self, iface_name: str, port_num: int, pcap_path: str) -> None:
        """`pcap_path` asks BMv2 for a copy of all packets in files; the switch's `--pcap` does that for all ports."""
        try:
            self.state.dataplane.add_port(port_num, iface_name)
        except DataplaneError as error:
            self.log_refusal(error)
            raise InvalidDevMgrOperation(ERROR) from None

    def bm_dev_mgr_remove_port(self, port_num: int) -> None:
        try:
            self.state.dataplane.remove_port(port_num)
        except DataplaneError as error:
            self.log_refusal(error)
            raise InvalidDevMgrOperation(ERROR) from None

    def bm_dev_mgr_show_ports(self) -> list[PortInfo]:
        return [
            PortInfo(
                port.port,
                port.interface,
                port.up,
                {
                    "rx_packets": str(port.rx_packets),
                    "tx_packets": str(port.tx_packets),
                    "rx_dropped": str(port.rx_dropped),
                    "tx_dropped": str(port.tx_dropped),
                },
            )
            for port in self.state.dataplane.ports()
        ]

    # -- custom hashes

    def _set_crc(self, width: int, calc_name: str, config: CrcConfig) -> None:
        with self.state.lock:
            calculation = self.state.program.objects.program.calculations.get(calc_name)
            if calculation is None:
                raise InvalidCrcOperation(UNKNOWN_CALCULATION)
            if calculation.algorithm != f"crc{width}_custom":
                raise InvalidCrcOperation(WRONG_ALGORITHM)
            ones = (1 << width) - 1
            self.state.dataplane.set_crc_parameters(
                calc_name,
                config.polynomial & ones,
                config.initial_remainder & ones,
                config.final_xor_value & ones,
                data_reflected=config.data_reflected,
                remainder_reflected=config.remainder_reflected,
            )

    def bm_set_crc16_custom_parameters(self, calc_name: str, config: CrcConfig) -> None:
        self._set_crc(16, calc_name, config)

    def bm_set_crc32_custom_parameters(self, calc_name: str, config: CrcConfig) -> None:
        self._set_crc(32, calc_name, config)

    def bm_set_toeplitz_hash_key(self, calc_name: str, key: bytes) -> None:
        with self.state.lock:
            calculation = self.state.program.objects.program.calculations.get(calc_name)
            if calculation is None:
                raise InvalidToeplitzHashOperation(UNKNOWN_CALCULATION)
            if not calculation.algorithm.startswith("toeplitz"):
                raise InvalidToeplitzHashOperation(WRONG_ALGORITHM)
            try:
                self.state.dataplane.set_toeplitz_key(calc_name, key)
            except DataplaneError as error:
                self.log_refusal(error)
                raise InvalidToeplitzHashOperation(INVALID_CONFIG) from None

    # -- learning: digests leave this switch over P4Runtime, so there is nothing to acknowledge here

    def _learn_list(self, list_id: int) -> None:
        if list_id not in self.state.program.objects.program.digests:
            raise InvalidLearnOperation(ERROR)

    def bm_learning_ack(self, list_id: int, buffer_id: int, sample_ids: list[int]) -> None:
        self._learn_list(list_id)

    def bm_learning_ack_buffer(self, list_id: int, buffer_id: int) -> None:
        self._learn_list(list_id)

    def bm_learning_set_timeout(self, list_id: int, timeout_ms: int) -> None:
        self._learn_list(list_id)

    def bm_learning_set_buffer_size(self, list_id: int, nb_samples: int) -> None:
        self._learn_list(list_id)


class StandardService(TableCalls, ProfileCalls, ArrayCalls, ManagementCalls):
    """The service "standard"."""
