"""Commands on counters, meters, registers, value sets and custom hashes."""

from __future__ import annotations

import sys

from p4switch.cli.base import EXACTLY, Commands, command
from p4switch.cli.errors import CommandError
from p4switch.cli.program import Array
from p4switch.cli.values import integer
from p4switch.thrift.services import CounterValue, CrcConfig, MeterRate


class ArrayCommands(Commands):
    # -- counters

    @command(
        "counter_read COUNTER INDEX: bytes and packets; of a direct counter, INDEX is an entry's handle.", 2, EXACTLY
    )
    def do_counter_read(self, words: list[str]) -> None:
        counter, index = self.program.counters.get(words[0]), integer(words[1], "index")
        if counter.table is not None:
            print("this is the direct counter for table", counter.table)
            value = self.standard("bm_mt_read_counter", counter.table, index)
        else:
            value = self.standard("bm_counter_read", counter.name, index)
        print(f"{words[0]}[{index}]= ({value.bytes} bytes, {value.packets} packets)")

    @command("counter_write COUNTER INDEX PACKETS BYTES: set a counter.", 4, EXACTLY)
    def do_counter_write(self, words: list[str]) -> None:
        counter, index = self.program.counters.get(words[0]), integer(words[1], "index")
        value = CounterValue(packets=integer(words[2], "packets"), bytes=integer(words[3], "bytes"))
        if counter.table is not None:
            print("writing to direct counter for table", counter.table)
            self.standard("bm_mt_write_counter", counter.table, index, value)
        else:
            self.standard("bm_counter_write", counter.name, index, value)
        print(f"{words[0]}[{index}] has been updated")

    @command("counter_reset COUNTER: set all cells to 0.", 1, EXACTLY)
    def do_counter_reset(self, words: list[str]) -> None:
        counter = self.program.counters.get(words[0])
        if counter.table is not None:
            print("this is the direct counter for table", counter.table)
            self.standard("bm_mt_reset_counters", counter.table)
        else:
            self.standard("bm_counter_reset_all", counter.name)

    # -- meters

    @staticmethod
    def _rates(meter: Array, words: list[str]) -> list[MeterRate]:
        if len(words) != meter.rates:
            raise CommandError(f"Invalid number of rates, expected {meter.rates} but got {len(words)}")
        rates: list[MeterRate] = []
        for word in words:
            rate, _, burst = word.partition(":")
            try:
                rates.append(MeterRate(float(rate), int(burst)))
            except ValueError:
                raise CommandError("Error while parsing rates") from None
        return rates

    @command("meter_array_set_rates METER RATE:BURST...: the rates of all cells, in units a microsecond.", 1)
    def do_meter_array_set_rates(self, words: list[str]) -> None:
        meter = self.program.meters.get(words[0])
        self.standard("bm_meter_array_set_rates", meter.name, self._rates(meter, words[1:]))

    @command("meter_set_rates METER INDEX RATE:BURST...: the rates of one cell, in units a microsecond.", 2)
    def do_meter_set_rates(self, words: list[str]) -> None:
        meter, index = self.program.meters.get(words[0]), integer(words[1], "index")
        rates = self._rates(meter, words[2:])
        if meter.table is not None:
            self.standard("bm_mt_set_meter_rates", meter.table, index, rates)
        else:
            self.standard("bm_meter_set_rates", meter.name, index, rates)

    @command("meter_get_rates METER INDEX: the rates of one cell.", 2, EXACTLY)
    def do_meter_get_rates(self, words: list[str]) -> None:
        meter, index = self.program.meters.get(words[0]), integer(words[1], "index")
        if meter.table is not None:
            rates = self.standard("bm_mt_get_meter_rates", meter.table, index)
        else:
            rates = self.standard("bm_meter_get_rates", meter.name, index)
        if len(rates) != meter.rates:
            print("WARNING: expected", meter.rates, "rates but only received", len(rates))
        for number, rate in enumerate(rates):
            print(f"{number}: info rate = {rate.units_per_micros}, burst size = {rate.burst_size}")

    # -- registers

    @command("register_read REGISTER [INDEX]: one cell, or all.", 1, 2)
    def do_register_read(self, words: list[str]) -> None:
        register = self.program.registers.get(words[0])
        if len(words) == 2:
            index = integer(words[1], "index")
            print(f"{words[0]}[{index}]=", self.standard("bm_register_read", register.name, index))
            return
        sys.stderr.write("register index omitted, reading entire array\n")
        values = self.standard("bm_register_read_all", register.name)
        print(f"{words[0]}=", ", ".join(str(value) for value in values))

    @command("register_write REGISTER INDEX VALUE: set one cell.", 3, EXACTLY)
    def do_register_write(self, words: list[str]) -> None:
        register, index = self.program.registers.get(words[0]), integer(words[1], "index")
        value = integer(words[2], "value")
        if not -(1 << 63) <= value < 1 << 64:
            raise CommandError("Bad format for value, it does not fit in 64 bits")
        value &= (1 << 64) - 1
        self.standard("bm_register_write", register.name, index, value - (1 << 64) if value >> 63 else value)

    @command("register_reset REGISTER: set all cells to 0.", 1, EXACTLY)
    def do_register_reset(self, words: list[str]) -> None:
        self.standard("bm_register_reset", self.program.registers.get(words[0]).name)

    # -- parser value sets

    @command("show_pvs: the program's parser value sets.", 0, EXACTLY)
    def do_show_pvs(self, words: list[str]) -> None:
        for name, item in sorted(self.program.value_sets.all.items()):
            print(f"{name:30} [compressed bitwidth:{item.width}]")

    def _member(self, words: list[str]) -> tuple[str, bytes]:
        item = self.program.value_sets.get(words[0])
        try:
            value = int(words[1], 0)
        except ValueError:
            raise CommandError("Invalid input, could not cast to integer, try in hex with 0x prefix") from None
        if value < 0 or value >> item.width:
            raise CommandError(f"Input is too large, it should fit within {item.width} bits")
        return item.name, value.to_bytes((item.width + 7) // 8, "big")

    @command("pvs_add SET VALUE: add a member to a parser value set.", 2, EXACTLY)
    def do_pvs_add(self, words: list[str]) -> None:
        self.standard("bm_parse_vset_add", *self._member(words))

    @command("pvs_remove SET VALUE: remove a member from a parser value set.", 2, EXACTLY)
    def do_pvs_remove(self, words: list[str]) -> None:
        self.standard("bm_parse_vset_remove", *self._member(words))

    @command("pvs_get SET: the members of a parser value set, one a line.", 1, EXACTLY)
    def do_pvs_get(self, words: list[str]) -> None:
        for member in self.standard("bm_parse_vset_get", self.program.value_sets.get(words[0]).name):
            print(member.hex())

    @command("pvs_clear SET: remove all members of a parser value set.", 1, EXACTLY)
    def do_pvs_clear(self, words: list[str]) -> None:
        self.standard("bm_parse_vset_clear", self.program.value_sets.get(words[0]).name)

    # -- hashes with parameters

    def _set_crc(self, width: int, words: list[str]) -> None:
        if self.program.custom_crcs.get(words[0]) != width:
            raise CommandError(f"Invalid crc{width}_custom name ({words[0]})")
        numbers: list[int] = []
        for word in words[1:4]:
            try:
                value = int(word, 0)
            except ValueError:
                raise CommandError(f"{word} is not a number") from None
            if not 0 <= value < 1 << width:
                raise CommandError(f"Integer cannot fit within {width} bits")
            numbers.append(value - (1 << width) if value >> (width - 1) else value)
        flags = [self._flag(word) for word in words[4:6]]
        config = CrcConfig(numbers[0], numbers[1], numbers[2], flags[0], flags[1])
        self.standard(f"bm_set_crc{width}_custom_parameters", words[0], config)

    @staticmethod
    def _flag(word: str) -> bool:
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
        try:
            return bool(int(word, 0))
        except ValueError:
            raise CommandError("Invalid bool parameter") from None

    _CRC = "NAME POLYNOMIAL INITIAL FINAL_XOR REFLECT_DATA REFLECT_REMAINDER: the parameters of a custom CRC."

    @command(f"set_crc16_parameters {_CRC}", 6, EXACTLY)
    def do_set_crc16_parameters(self, words: list[str]) -> None:
        self._set_crc(16, words)

    @command(f"set_crc32_parameters {_CRC}", 6, EXACTLY)
    def do_set_crc32_parameters(self, words: list[str]) -> None:
        self._set_crc(32, words)

    @command("set_toeplitz_hash_key NAME HEX: the key of a Toeplitz hash, whole words of four bytes.", 2, EXACTLY)
    def do_set_toeplitz_hash_key(self, words: list[str]) -> None:
        try:
            key = bytes.fromhex(words[1].removeprefix("0x"))
        except ValueError:
            raise CommandError("Toeplitz hash key must be a hex string") from None
        if len(key) % 4:
            raise CommandError("Toeplitz hash key must be a multiple of 4 bytes in length")
        self.standard("bm_set_toeplitz_hash_key", words[0], key)
